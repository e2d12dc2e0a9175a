"""The calls of a job, made by Ray's workers or in the job's own process. The only package that imports ray."""
