-- One row per file whose rows are not each in exactly one bucket.
SELECT
    file.file_name,
FROM run.source_file AS file
WHERE
    file.n_read <> file.n_accepted + file.n_duplicate + file.n_superseded
    + file.n_out_of_scope + file.n_rejected
    AND NOT file.held
