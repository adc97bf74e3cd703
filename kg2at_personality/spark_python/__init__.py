"""The Python kernel with Spark: what runs in the process of a `spark_python` notebook.

That process may have another interpreter than the gateway, without kg2at. So this package stands alone: Python 3.8 or
later, ipykernel 6 or later, and a pyspark that is not imported before a cell uses it. It is named `kg2at_spark` there.
"""
