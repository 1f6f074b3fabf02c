"""Old locations of modules and names, which keep working for one more version, with a warning.

Version 0.2 moved most modules. `import picie.exporting` and `from picie.inference import load`
keep working until 0.3; the warning gives the new location. picie itself does not use this.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["MODULES", "NAMES", "forwarding", "install"]

_TO = {
    "benchmark.plan": "benchmarking.plan",
    "benchmark.records": "benchmarking.records benchmarking.standing",
    "benchmark.run": "benchmarking.running",
    "benchmark.suite": "benchmarking.suite benchmarking.suite_file",
    "benchmark.summary": "tables.correlation tables.document tables.protocol tables.summary",
    "benchmark.tables": "benchmarking.pages tables.markdown tables.page",
    "cli.app": "cli",
    "cli.arguments": "commands.arguments commands.export_arguments commands.naming_arguments "
    "commands.report_arguments",
    "cli.bench": "commands.bench",
    "cli.demo": "commands.demo",
    "cli.evaluate": "commands.evaluate",
    "cli.export": "commands.export commands.export_masks commands.export_model",
    "cli.info": "commands.info",
    "cli.name": "commands.name commands.naming_tables",
    "cli.parsing": "commands.parsing",
    "cli.predict": "commands.predict",
    "cli.report": "commands.report",
    "cli.train": "commands.train",
    "clustering.affinities": "clustering.contacts clustering.overlap touching",
    "clustering.features": "centroids clustering.sampling",
    "clustering.kmeans.initialisation": "clustering.initialisation",
    "clustering.kmeans.kmeans": "clustering.kmeans",
    "clustering.kmeans.points": "clustering.assignment clustering.points",
    "clustering.kmeans.statistics": "clustering.statistics",
    "clustering.linkage": "clustering.merging",
    "clustering.smoothing": "smoothing",
    "clustering.tree": "cutting",
    "config": "agreement presets settings",
    "data.crop_loader": "data.loading",
    "data.datasets.cocostuff": "data.datasets.cocostuff_names",
    "data.datasets.dataset": "data.datasets.opening",
    "data.datasets.registry": "data.named",
    "data.images": "pictures",
    "data.photo_loader": "reading",
    "data.synthetic.backdrop": "data.scenery",
    "data.synthetic.canvas": "data.scene",
    "data.synthetic.objects": "data.furniture",
    "data.synthetic.scenes": "data.synthetic",
    "evaluation.health": "health",
    "evaluation.labelled": "counting",
    "evaluation.probes": "metrics.probing probes",
    "evaluation.scoring": "evaluation",
    "export.formats.cityscapes": "exports.cityscapes",
    "export.formats.coco": "exports.coco",
    "export.formats.cvat": "exports.cvat",
    "export.formats.fiftyone": "exports.fiftyone",
    "export.formats.geopackage": "exports.geopackage",
    "export.formats.geotiff": "exports.geotiff",
    "export.formats.huggingface": "exports.huggingface",
    "export.formats.labelstudio": "exports.labelstudio",
    "export.formats.layout": "exports.layout exports.photos",
    "export.formats.png": "exports.png",
    "export.formats.polygons": "exports.polygons",
    "export.formats.rasters": "exports.rasters",
    "export.formats.voc": "exports.voc",
    "export.formats.yolo": "exports.yolo",
    "export.masks": "exporting exports.whole",
    "export.model.checking": "deployment.checking",
    "export.model.export": "deployment.export",
    "export.model.graph": "deployment.graph",
    "export.model.runtimes": "deployment.files",
    "inference.hub": "hub.remote publishing",
    "inference.model_card": "hub.card",
    "inference.outputs": "outputs",
    "inference.predict_folder": "predicting",
    "inference.segmenter": "classification inference",
    "metrics.confusion": "metrics.rates",
    "metrics.groups": "metrics.partition",
    "models.class_names": "naming.classes naming.rules",
    "models.folding": "models.padding",
    "models.pca": "models.projection",
    "models.storage": "storage",
    "models.sync_batchnorm": "models.batchnorm",
    "models.timm_features": "models.map_sizes models.networks",
    "naming.assign": "renaming",
    "naming.file": "naming.document naming.past",
    "naming.votes": "voting",
    "objectives.mdc": "objectives.parametric",
    "objectives.picie": "objectives.overclustering",
    "postprocessing.refinement": "postprocessing",
    "postprocessing.tiling": "tiling",
    "postprocessing.upsampling": "enlarging",
    "reporting.clusters": "report.cards",
    "reporting.collect": "reporting.gathering reporting.portraits",
    "reporting.content": "report.document",
    "reporting.dendrogram": "report.dendrogram",
    "reporting.html": "report.gallery report.page",
    "reporting.make": "reporting.making",
    "reporting.measures": "report.verdicts reporting.verdicts",
    "reporting.score_tables": "report.matrix",
    "reporting.scores": "reporting.scoring",
    "runtime.devices": "devices threads",
    "runtime.distributed": "processes",
    "runtime.files": "files",
    "runtime.profiler": "profiling",
    "runtime.progress": "progress",
    "runtime.random": "views.draws",
    "training.checkpoint": "checkpoints",
    "training.decoder_init": "decoder_start",
    "training.epoch": "history",
    "training.loop": "training",
    "training.step": "steps",
    "training.targets": "heads targets",
    "training.tracking": "trackers tracking",
    "training.trainer": "trainer",
    "training.validation": "curves",
    "views.pair": "views.stretching",
    "visualization.charts": "tables.curves tables.epochs",
    "visualization.confusion_matrix": "report.confusion",
    "visualization.masks": "report.masks",
    "visualization.palette": "report.lettering report.palette",
    "visualization.sheet": "report.sheet",
    "visualization.thumbnails": "report.embedding report.patches",
}
"""New module -> old modules whose names moved there, separated by spaces."""

MODULES = {old: new for new, several in _TO.items() for old in several.split()}
"""Old module -> new module."""

NAMES = {
    "data.loading.available_cores": "data.prefetch.available_cores",
    "reading.choose_workers": "data.prefetch.photo_workers",
    "benchmarking.plan.describe_pictures": "benchmark.plan.describe_images",
    "benchmarking.standing.Standing": "benchmark.records.JobStatus",
    "centroids.Loader": "data.crop_loader.Loader",
    "centroids.counted": "data.crop_loader.counted",
    "centroids.picture_loader": "data.crop_loader.image_loader",
    "classification.PixelClassifier": "inference.segmenter.Segmenter",
    "clustering.merging.cut_tree": "clustering.tree.cut_tree",
    "clustering.merging.linkage_tree": "clustering.linkage.build_tree",
    "clustering.merging.suggest_clusters": "clustering.tree.suggest_clusters",
    "commands.predict.write_masks": "inference.predict_folder.predict_folder",
    "counting.LabelledPicture": "evaluation.labelled.LabelledImage",
    "counting.LabelledPictures": "evaluation.labelled.LabelledImages",
    "enlarging.enlarge": "postprocessing.upsampling.upsample",
    "enlarging.enlarge_part": "postprocessing.upsampling.upsample_part",
    "exports.rasters.Look": "export.formats.rasters.RasterView",
    "exports.whole.whole_folder": "export.folder.atomic_folder",
    "health.HEALTH_PICTURES": "evaluation.health.HEALTH_IMAGES",
    "inference.enlarge": "postprocessing.upsampling.upsample",
    "metrics.confusion.PictureCounts": "metrics.confusion.ImageCounts",
    "models.map_sizes.try_small_picture": "models.timm_features.try_small_image",
    "naming.classes.CLASSES_FILE": "runs.CLASSES_FILE",
    "outputs.cluster_groups": "clustering.tree.cluster_groups",
    "outputs.node_members": "clustering.tree.node_members",
    "postprocessing.refine_borders": "postprocessing.refinement.refine_boundaries",
    "publishing.Shown": "inference.hub.ImageWithMask",
    "reading.Picture": "data.photo_loader.LoadedPhoto",
    "renaming.Anatomy": "naming.assign.ClusterTree",
    "report.document.Shot": "reporting.content.GalleryImage",
    "report.masks.mask_picture": "visualization.masks.mask_image",
    "report.verdicts.Verdict": "reporting.measures.ShownMeasure",
    "report.verdicts.verdicts": "reporting.measures.shown_measures",
    "reporting.gathering.Memory": "reporting.collect.PortraitCollector",
    "reporting.gathering.Seen": "reporting.collect.SegmentedPhoto",
    "reporting.portraits.MOST_SHOTS": "reporting.collect.MOST_IMAGES",
    "reporting.verdicts.Verdict": "reporting.measures.ShownMeasure",
    "reporting.verdicts.verdicts": "reporting.measures.shown_measures",
    "touching.TouchingCells": "clustering.affinities.ContactCells",
    "views.photometric.blur_pictures": "views.photometric.blur_images",
    "views.stretching.whole_boxes": "views.pair.full_boxes",
}
"""Names that moved to another module than the rest of their module, or were renamed."""

_PACKAGES = {old.rpartition(".")[0] for old in MODULES} - {""}


def install() -> None:
    """Make old modules importable; the finder comes last, so other imports are not slower."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def forwarding(module: str) -> Callable[[str], Any]:
    """A `__getattr__` for a package that used to be a module.

    Args:
        module: its full name, for example `picie.inference`.
    """

    def lookup(name: str) -> Any:
        return _moved(module, name)

    return lookup


def _moved(module: str, name: str) -> Any:
    old = f"{module}.{name}".removeprefix("picie.")
    place = MODULES.get(module.removeprefix("picie."))
    new = NAMES.get(old, f"{place}.{name}" if place else "")
    home, _, attribute = new.rpartition(".")
    there = import_module(f"picie.{home}") if home and not name.startswith("__") else None
    if there is None or not hasattr(there, attribute):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    top = sys.modules["picie"]
    shown = f"picie.{attribute}" if attribute in top.__all__ else f"picie.{new}"
    warnings.warn(
        f"{module}.{name} is now {shown}; the old name will be removed in picie 0.3",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(there, attribute)


class _Module(ModuleType):
    """An old module, without content: forwards its names to their new modules."""

    def __getattr__(self, name: str) -> Any:
        return _moved(self.__name__, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Keep `picie.report` callable after `import picie.report.palette`."""
        home, attribute = "picie.reporting.make", self.__name__.rpartition(".")[2]
        return getattr(import_module(home), attribute)(*args, **options)


# importlib.abc takes long to import, and its classes say only which methods there must be.
if TYPE_CHECKING:
    from importlib.abc import Loader as _Loader
else:
    _Loader = object


class _Finder(_Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix("picie.")
        if old == fullname or not (old in MODULES or old in _PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=old in _PACKAGES)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""
