-- What was downloaded, by day.
SELECT;
