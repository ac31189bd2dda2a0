"""What a person waits for, measured on this machine: ratios between cases taken in the same run."""
