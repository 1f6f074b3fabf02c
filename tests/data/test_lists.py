"""One reader for class names and other lists: no line is misread in silence."""

import codecs
from pathlib import Path

import pytest

from picie.data.folder import open_folder
from picie.data.lists import class_lines, read_class_names, read_entries
from picie.errors import DataError


def names_of(folder: Path, text: str | bytes) -> tuple[str, ...]:
    path = folder / "classes.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_class_names(path)


@pytest.mark.parametrize(
    "text",
    [
        "sky\nroad\n",
        "sky\nroad",
        "sky\r\nroad\r\n",
        "sky\rroad\r",
        "\n\n sky \nroad\t\n\n \n",
        "# my classes\nsky\nroad\n",
        "#\n## a heading\n\nsky\n# between\nroad\n#--\n",
        "\ufeffsky\nroad\n",
        "0: sky\n1: road\n",
        "0 sky\n1 road\n",
        "0,sky\n1,road\n",
        "0\tsky\n1\troad\n",
        "0;sky\n1;road\n",
        "0 = sky\n1 = road\n",
        "[0] sky\n[1] road\n",
        "0. sky\n# one more\n1. road\n",
        "\\sky\nroad",
    ],
)
def test_many_forms_of_the_same_names(tmp_path: Path, text: str) -> None:
    assert names_of(tmp_path, text) == ("sky", "road")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings(tmp_path: Path, encoding: str, end: str) -> None:
    assert names_of(tmp_path, f"straße{end}空{end}".encode(encoding)) == ("straße", "空")
    big = codecs.BOM_UTF16_BE + "a\nb".encode("utf-16-be")
    assert names_of(tmp_path, big) == ("a", "b")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sky\n\nroad", "line 2 is empty; write one class name per line, or remove it"),
        ("", "lists no class; write"),
        ("# only a comment\n", "lists no class; write"),
        (
            "id,name\n0,sky",
            "line 1 'id,name' looks like a header; remove it (or write \\id,name if",
        ),
        ("class_id\tclass_name\n0\tsky", "looks like a header"),
        ("name\nsky\nroad", "line 1 'name' looks like a header"),
        ("# c\nClasses:\nsky", "line 2 'Classes:' looks like a header"),
        ("name;colour\nsky;blue", "looks like a header"),
        ("1: sky\n2: road", "'1: sky' begins with the number 1, but is the name of id 0; write"),
        ("0 sky\n2 road", "'2 road' begins with the number 2, but is the name of id 1; write"),
        ("-1 void\n0 sky", "begins with the number -1"),
        ("0 degrees\n90 degrees", "or write \\90 degrees if that is the name of a class)"),
        ("sky\n1: road", "'1: road' has a number before the name and other lines do not"),
        ("sky,0\nroad,1", "'sky,0' ends with numbers; write the names alone"),
        ("sky 70 130 180\nroad 128 64 128", "ends with numbers"),
        ("#road\nsky", "line 1 '#road' may be a comment or markup; a comment begins with # and a"),
        ("// mine\nsky", "may be a comment"),
        ("; mine\nsky", "may be a comment"),
        ("- sky\n- road", "'- sky' may be a comment or markup"),
        ('["sky", "road"]', "may be a comment or markup (or write"),
        ("sky # blue\nroad", "has a comment behind the name; give it a line of its own"),
        ("sky, road, car", "lists several names; write one class name per line"),
        ("sky\nroad\nsky", "lines 1 and 3 are both 'sky'; make names unique"),
        ("sky\tblue\nroad\tgrey", "line 1 'sky\\tblue' holds '\\t'"),
        ("sky\n\ufeffroad", "line 2 '\\ufeffroad' holds '\\ufeff'"),
        ("sky\u2028road\ngrass", "holds '\\u2028'"),
        ("\\\nsky", "line 1 holds no name"),
        ("\n".join(f"c{number}x" for number in range(256)), "lists 256 classes; masks can hold"),
    ],
)
def test_what_may_not_be_a_class_name_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        names_of(tmp_path, text)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'classes.txt'}: ")


@pytest.mark.parametrize(
    "names",
    [
        ("#road", "sky"),
        ("0 degrees", "1 degrees"),
        ("id,name", "0,sky"),
        ("name", "\\sky"),
        ("- a", "// b"),
        ("door, gate, fence",),
        ("sky,0", "road,1"),
    ],
)
def test_any_name_can_be_written(tmp_path: Path, names: tuple[str, ...]) -> None:
    text = class_lines(names)
    assert text.startswith("\\")
    assert names_of(tmp_path, text) == names


@pytest.mark.parametrize(
    "names",
    [
        ("cluster 0", "cluster 1"),
        ("2 wheeler", "sky"),
        ("tree, palm", "grass"),
        ("door: open", "3D print", "4x4", "2-wheeler"),
        ("Sky", "sky", "C#", "apartment #2"),
    ],
)
def test_plain_names_stay_plain(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert class_lines(names) == "".join(f"{name}\n" for name in names)
    assert names_of(tmp_path, class_lines(names)) == names


def test_many_names_need_no_backslash() -> None:
    assert not class_lines([f"cluster {number}" for number in range(300)]).startswith("\\")


def entries_of(folder: Path, text: str, known: tuple[str, ...] = ()) -> list[str]:
    (folder / "val.txt").write_bytes(text.encode())
    return read_entries(folder / "val.txt", known)


def test_entries(tmp_path: Path) -> None:
    text = "\ufeff# photos\r\n a.jpg \r\n\r\n#b.jpg\r\n\\#c.jpg\r\n"
    assert entries_of(tmp_path, text) == ["a.jpg", "#c.jpg"]


def test_what_exists_as_it_stands_is_an_entry(tmp_path: Path) -> None:
    known = ("#b.jpg", " c", "d.jpg", "\\e")
    assert entries_of(tmp_path, "#b.jpg\n c\n d.jpg\n\\e\n", known) == [
        "#b.jpg",
        " c",
        "d.jpg",
        "\\e",
    ]
    with pytest.raises(DataError, match=r"line 2 '#d' is an entry or a comment; write \\#d for"):
        entries_of(tmp_path, "\n#d\n", ("#d", "d"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in (b"\xff\xfe\xff", "sky".encode("utf-16-le"), "straße".encode("latin-1")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.txt: cannot be read \(it is not UTF-8 text\); sa"):
            read_class_names(path)
    with pytest.raises(DataError, match=r"b\.txt: cannot be read \(No such file"):
        read_entries(tmp_path / "b.txt")


def test_a_folder_uses_it(tmp_path: Path) -> None:
    for name in ("#1.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "classes.txt").write_text("# mine\n0: sky\n1: road\n")
    (tmp_path / "val.txt").write_text("# all of them\n#1.png\nb\n")
    folder = open_folder(tmp_path, "val")
    assert folder.classes == ("sky", "road")
    assert [photo.name for photo in folder.photos] == ["#1", "b"]
