"""Images to bytes, and masks from what services send: each form read or written once, for all adapters."""
