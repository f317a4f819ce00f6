-- The reports.
SELECT;
