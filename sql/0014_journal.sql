-- Surveys count the files of the journal. Behind trash; in two steps, since a position is unique.
UPDATE shacache.survey_kind SET position = position + 100
WHERE position > (SELECT position FROM shacache.survey_kind WHERE kind = 'trash');
UPDATE shacache.survey_kind SET position = position - 99 WHERE position > 100;
INSERT INTO shacache.survey_kind (kind, position, is_finding)
SELECT 'journal', position + 1, false FROM shacache.survey_kind WHERE kind = 'trash';
