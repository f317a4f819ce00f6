-- A backup is a task that reports when it last succeeded; nothing waits for it where none was ever made.
ALTER TABLE shacache.task_run
    DROP CONSTRAINT task_is_known,
    ADD CONSTRAINT task_is_known CHECK (task IN ('maintain', 'survey', 'ingest-log', 'scrub', 'collect', 'backup'));
