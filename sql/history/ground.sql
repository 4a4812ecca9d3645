-- One row per value that a row rested on as the last published run left it, an earlier one of tonight as well:
-- whoever was sent a sheet of tonight has to be told if what it named stands no longer when the night runs again.
SELECT
    ground.*,
FROM last.worklists.ground AS ground
