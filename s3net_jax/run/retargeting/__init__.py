"""Choose or correct the targets of finished results, without new fits."""
