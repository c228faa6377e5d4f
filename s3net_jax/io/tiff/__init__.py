"""TIFF files, ImageJ and OME among them."""
