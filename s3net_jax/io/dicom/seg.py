"""Write DICOM SEG with highdicom: segmentations that DICOM viewers overlay on the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.dicom.clean import copy_as_source
from s3net_jax.io.dicom.codes import Code, check_segment_name, parse_code
from s3net_jax.io.dicom.planes import describe_as_images, describe_frame, refer_to_sources
from s3net_jax.io.extras import import_extra
from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.volume import Volume
from s3net_jax.io.write import replace_file
from s3net_jax.version import get_package_version

__all__ = ["write_seg"]

_CLUSTERS = 32  # largest number of clusters written; further ones are tiny fragments
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def write_seg(
    path: Path,
    mask: np.ndarray,
    labels: np.ndarray,
    volume: Volume,
    name: str = "",
    code: str = "",
) -> list[str]:
    """Write the target and the clusters as binary segments on the images of ``volume``.

    Segment 1 is the target; the clusters with voxels follow in the order of their labels. UIDs
    are random, as the standard requires.

    Args:
      path: path of the file; ends in ``.dcm``.
      mask: target, (X, Y, Z) bool.
      labels: label map, (X, Y, Z) integers.
      volume: volume read from DICOM.
      name: name of the target; "" is the meaning of ``code``, or ``Target``.
      code: what the target is, see :func:`parse_code`; "" is an image region.

    Returns:
      Notes for the user, such as which elements of the series were not copied.

    Raises:
      ConfigError: ``name`` or ``code`` is invalid.
      InputError: highdicom is not installed, or the series lacks elements that the standard
        requires.
      OutputError: the file cannot be written.
    """
    hd = import_extra("highdicom", "Writing DICOM SEG")
    from pydicom.sr.codedict import codes

    version = get_package_version()
    values = [v for v in np.unique(labels) if v >= 0][:_CLUSTERS]
    planes = [mask, *(labels == value for value in values)]
    region = Code("DCM", "111030", "Image Region")
    general = Code("SCT", "309825002", "Spatial and Relational Concept"), region
    target = parse_code(code) if code else general
    title = check_segment_name(name) if name else target[1].meaning if code else "Target"
    names = [title, *(f"Cluster {value}" for value in values)]
    pixels = np.stack([np.swapaxes(p, 0, 2) for p in planes], -1).astype(np.uint8)
    kept = [n for n in range(len(names)) if n == 0 or pixels[..., n].any()]
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=names[n],
            segmented_property_category=_make_concept(hd, (general if n else target)[0]),
            segmented_property_type=_make_concept(hd, (general if n else target)[1]),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=_describe_algorithm(hd, codes, version),
        )
        for number, n in enumerate(kept, 1)
    ]
    source, notes = _copy_source(volume)
    try:
        with silence_warnings():
            result = hd.seg.Segmentation(
                source_images=describe_as_images(volume, source),
                pixel_array=pixels[..., kept],
                segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=descriptions,
                series_instance_uid=hd.UID(),
                series_number=900,
                sop_instance_uid=hd.UID(),
                instance_number=1,
                manufacturer="s3net-jax",
                manufacturer_model_name="s3net-jax",
                software_versions=version,
                device_serial_number="0",
                content_label="S3NET",
                series_description="s3net-jax: unsupervised segmentation",
                omit_empty_frames=bool(pixels[..., kept].any()),
            )
            refer_to_sources(result, volume)
    except InputError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"No DICOM SEG of {volume.name} is written ({first}).") from error
    with replace_file(path) as file, silence_warnings():
        result.save_as(file)
    return [*notes, *describe_frame(result, volume)]


def _make_concept(hd: Any, code: Code) -> Any:
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _describe_algorithm(hd: Any, codes: Any, version: str) -> Any:
    return hd.AlgorithmIdentificationSequence(
        name="S3-Net", version=version, family=codes.DCM.ArtificialIntelligence
    )


def _copy_source(volume: Volume) -> tuple[Any, list[str]]:
    """Copy the first data set, which describes patient and study, and clean it.

    Missing or invalid administrative elements are blank in the copy.

    Returns:
      The copy, and a note if elements were invalid.

    Raises:
      InputError: a UID that the standard requires is missing.
    """
    for data in {id(data): data for data in volume.origin}.values():
        missing = [tag for tag in _REQUIRED if not data.get(tag)]
        if missing:
            raise InputError(
                f"No DICOM SEG of {volume.name} is written because its files lack "
                f"{', '.join(missing)}."
            )
    with silence_warnings():
        source, odd = copy_as_source(volume.origin[0])
    if not odd:
        return source, []
    note = f"{volume.name} has invalid elements, which are blank in its DICOM SEG: "
    return source, [f"{note}{', '.join(odd)}."]
