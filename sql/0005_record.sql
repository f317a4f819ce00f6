-- The upload record by month, and its sums by day.
SELECT;
