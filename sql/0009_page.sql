-- What the page may read.
SELECT;
