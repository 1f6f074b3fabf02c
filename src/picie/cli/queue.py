"""`picie queue`."""

import numpy as np
from rich.table import Table

from picie.annotation.log import read_annotations
from picie.annotation.queue import ACCEPTED, doubts, image_order, summaries, touched_images
from picie.cli.arguments import Queue
from picie.data.folder import open_folder
from picie.errors import ConfigError
from picie.inference.segmenter import load
from picie.runs import ANNOTATIONS_FILE, annotated_folder
from picie.runtime.progress import PlainConsole, Reporter

__all__ = ["run"]


def run(options: Queue) -> None:
    """List the images to annotate next."""
    if options.count < 0:
        raise ConfigError(f"--count {options.count}: give 1 or more, or 0 for all images")
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device).read_as(**options.reading.given())
    folder = open_folder(options.source, options.split, reading=model.config.reading)
    history = read_annotations(annotated_folder(options.run) / ANNOTATIONS_FILE)
    touched = touched_images(history.valid)
    images = list(summaries(model, folder, reporter=reporter))
    counts = np.array([touched[one.name] for one in images], np.int64)
    known = doubts(model, images)
    order, gain = image_order(known, counts)
    table = Table("image", "gain %", "most doubt about", "marks")
    for column in (table.columns[1], table.columns[3]):
        column.justify = "right"
    subjects, most = known.gains.argmax(1), max(float(gain.max()), 1e-12)
    for place in order[: options.count or None].tolist():
        marks = "accepted" if counts[place] >= ACCEPTED else str(counts[place] or "")
        subject = model.names[subjects[place]]
        table.add_row(images[place].name, f"{100 * gain[place] / most:.0f}", subject, marks)
    PlainConsole().print(table)
