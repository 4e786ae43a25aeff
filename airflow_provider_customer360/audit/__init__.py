"""The audit before publishing: staged profiles against fixed bounds and against the table as it is.

`checks` is imported when a DAG file is parsed, to look at what the user states; everything else when a task
runs. That is why nothing is imported here.
"""
