"""Read DICOM series and enhanced objects, and write segmentations."""
