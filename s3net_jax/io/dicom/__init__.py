"""DICOM: series, enhanced objects, segmentations."""
