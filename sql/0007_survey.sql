-- What lies on the disk.
SELECT;
