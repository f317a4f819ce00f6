-- The filters of the reports. A session sets them, by SET report.since = '2026-01-01'; else, all is counted.
CREATE OR REPLACE FUNCTION report.since() RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE RETURN nullif(current_setting('report.since', true), '')::date;
CREATE OR REPLACE FUNCTION report.until() RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE RETURN nullif(current_setting('report.until', true), '')::date;
CREATE OR REPLACE FUNCTION report.account() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE RETURN nullif(current_setting('report.account', true), '') COLLATE "C";
COMMENT ON FUNCTION report.since() IS 'The first day (in UTC) that the views count; NULL: the first of all.';
COMMENT ON FUNCTION report.until() IS 'The last day (in UTC) that the views count; NULL: today.';
COMMENT ON FUNCTION report.account() IS 'The account that the views count; NULL: every one.';
