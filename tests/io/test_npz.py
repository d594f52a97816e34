"""Records as NumPy archives: exact, never unpickled, and refused with a reason when damaged."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.record import Record
from attn_cli.errors import InputError
from attn_cli.io.npz import from_npz, to_npz
from tests.records import may_check_shapes, records, same, validated
from tests.samples import encoder_record, translation_record


def rewritten(**changes: Any) -> bytes:
    """A saved record with some of its arrays replaced; None leaves one out."""
    with np.load(io.BytesIO(to_npz(encoder_record()))) as saved:
        arrays = {**saved, **{name.replace("_", "."): value for name, value in changes.items()}}
    file = io.BytesIO()
    np.savez(file, **{name: value for name, value in arrays.items() if value is not None})
    return file.getvalue()


@may_check_shapes
@given(records())
def test_round_trip_is_exact(record: Record) -> None:
    assert same(from_npz(to_npz(record)), record)


def test_what_numpy_sees() -> None:
    record = translation_record()
    with np.load(io.BytesIO(to_npz(record)), allow_pickle=False) as saved:
        assert saved["cross.1.weights"].dtype == np.float32
        np.testing.assert_array_equal(saved["cross.1.weights"], record.maps[5].weights)
        np.testing.assert_array_equal(saved["cross.1.heads"], [0, 1, 2])
        np.testing.assert_array_equal(saved["cross.1.queries"], range(5))
        document = validated(saved["record"].tobytes())
    assert document["maps"] == []
    assert document["source"]["tokens"][3]["piece"] == "##phy"


def test_it_is_compressed() -> None:
    weights = sum(map_.weights.nbytes + 4 * map_.weights.size for map_ in translation_record().maps)
    with zipfile.ZipFile(io.BytesIO(to_npz(translation_record()))) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_DEFLATED}
        assert sum(entry.file_size for entry in archive.infolist()) > weights


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record": None}, "saved.npz is an .npz archive, but not an attn record"),
        ({"record": np.zeros(3)}, "saved.npz is an .npz archive, but not an attn record"),
        ({"record": np.zeros(3, np.uint8)}, "saved.npz: record is not JSON"),
        ({"record": np.frombuffer(b"{}", np.uint8)}, "saved.npz is JSON, but not an attn record"),
        ({"encoder_1_weights": None}, "saved.npz: encoder.1.weights is missing"),
        ({"encoder_1_heads": None}, "saved.npz: encoder.1.heads is missing"),
        ({"encoder_01_heads": np.arange(3)}, "saved.npz: encoder.01.heads is not one of a record's arrays"),
        ({"encoder_1_values": np.arange(3)}, "saved.npz: encoder.1.values is not one of a record's arrays"),
        ({"encoder_1_weights": np.ones((3, 11, 11))}, "saved.npz: encoder.1.weights holds float64, expected float32"),
        ({"encoder_1_heads": np.ones(3)}, "saved.npz: encoder.1.heads holds float64, expected int64"),
        ({"encoder_1_heads": np.arange(2)}, "saved.npz: encoder.1.weights has shape (3, 11, 11), expected (2, 11, 11)"),
        ({"encoder_1_heads": np.array([0, 1, 1])}, "saved.npz: encoder.1 is of head [0, 1, 1] of 3 in encoder layer 1"),
        ({"encoder_1_heads": np.array([0, 1, -1])}, "saved.npz: encoder.1 is of head [0, 1, -1] of 3"),
        ({"encoder_1_heads": np.array(1)}, "saved.npz: encoder.1 is of head 1 of 3"),
        ({"encoder_1_heads": np.arange(3)[:, None]}, "saved.npz: encoder.1 is of head [[0], [1], [2]] of 3"),
        (
            {"encoder_1_scores": np.zeros((3, 11), np.float32)},
            "saved.npz: encoder.1.scores has shape (3, 11), expected",
        ),
        (
            {"encoder_1_scores": np.full((3, 11, 11), np.nan, np.float32)},
            "saved.npz: encoder.1.scores has scores that are not numbers",
        ),
        (
            {"encoder_1_weights": np.full((3, 11, 11), np.nan, np.float32)},
            "saved.npz: encoder.1.weights are not attention weights: encoder layer 1 has weights that are not numbers",
        ),
        (
            {"encoder_1_sink": np.full((3, 11), np.nan, np.float32)},
            "saved.npz: encoder.1.sink has shares that are not numbers from 0",
        ),
        ({"encoder_1_visible": np.zeros((2, 11), int)}, "saved.npz: encoder.1.visible has shape (2, 11), expected"),
        ({"decoder_1_weights": np.ones((3, 11, 11), np.float32)}, "saved.npz: decoder.1.heads is missing"),
    ],
)
def test_meddled(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        from_npz(rewritten(**changes), "saved.npz")
    assert str(error.value).startswith(message)


def test_pickles_stay_closed() -> None:
    file = io.BytesIO()
    np.savez(file, record=np.array([print], dtype=object))
    with pytest.raises(InputError, match=r"saved.npz holds Python objects, which are never unpickled"):
        from_npz(file.getvalue(), "saved.npz")


def archive(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("record.npy", content)
    return file.getvalue()


def numpy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"words",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\x06\x00((((((",
        b"\x93NUMPY\x01\x00\x09\x00'\\N{no}'\n",
        b"\x93NUMPY\x01\x00\x04\x00 \t1\n",
        numpy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999999,)}"),
        numpy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
        numpy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}"),
        numpy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-9,)}"),
        numpy_header("{'descr': ('|u1',), 'fortran_order': False, 'shape': (9,)}"),
        numpy_header("{'descr': '|Q9', 'fortran_order': False, 'shape': (9,)}"),
        numpy_header("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (0,)}"),
        b"PK\x05\x06" + bytes(18),
    ],
)
def test_foreign_archives(content: bytes) -> None:
    with pytest.raises(
        InputError, match=r"^saved.npz is (a zip archive, but not of NumPy arrays|an .npz archive, but)"
    ):
        from_npz(archive(content), "saved.npz")


SAVED = to_npz(encoder_record())


def test_an_archive_that_says_it_holds_more_than_it_can() -> None:
    content = bytes(2**20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("record.npy", content)
    sizes = struct.pack("<I", len(content)), struct.pack("<I", 2**32 - 2)
    with pytest.raises(InputError, match=r"^saved.npz is damaged: it claims to hold more than it can"):
        from_npz(file.getvalue().replace(*sizes), "saved.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97])
def test_an_archive_packed_in_another_way(method: int) -> None:
    packed = bytearray(SAVED)
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = packed.index(signature) + place
        packed[start : start + 2] = struct.pack("<H", method)
    with pytest.raises(InputError, match=r"^saved.npz is damaged: "):
        from_npz(bytes(packed), "saved.npz")


def test_an_archive_that_starts_before_its_file() -> None:
    end = SAVED.index(b"PK\x05\x06")
    with pytest.raises(InputError, match=r"^saved.npz is damaged: "):
        from_npz(SAVED[: end + 12] + struct.pack("<I", 2**24) + SAVED[end + 16 :], "saved.npz")


@may_check_shapes
@given(st.integers(0, len(SAVED) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_found_or_harmless(place: int, flip: int) -> None:
    damaged = bytearray(SAVED)
    damaged[place] ^= flip
    try:
        record = from_npz(bytes(damaged))
    except InputError:
        return
    assert same(record, from_npz(SAVED))


@given(st.integers(0, len(SAVED) - 1))
def test_a_cut_archive_is_found(length: int) -> None:
    with pytest.raises(InputError, match=r"^saved.npz is damaged"):
        from_npz(SAVED[:length], "saved.npz")


def test_metadata_of_a_newer_attn() -> None:
    document = orjson.loads(np.load(io.BytesIO(SAVED))["record"].tobytes())
    document["schema_version"] = 2
    data = rewritten(record=np.frombuffer(orjson.dumps(document), np.uint8))
    with pytest.raises(InputError, match=r"^saved.npz was written by a newer attn"):
        from_npz(data, "saved.npz")
