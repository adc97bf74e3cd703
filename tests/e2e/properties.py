"""The Spark properties of the gateway that most tests here share, secrets among them."""

from __future__ import annotations

from tests.fakes.gateway_process import QUICK_JVM

SECRET = "swordfish-0815"
DEFAULTS = f"""\
# what a test greps for
spark.hadoop.fs.s3a.secret.key {SECRET}-key
spark.my.password {SECRET} with blanks
spark.driver.extraJavaOptions {QUICK_JVM} -Dmy.password={SECRET}-option -Dmy.plain=visible
spark.executor.memory 512m
spark.driver.memory 600
"""
PROFILES = {"broken": {"spark.driver.extraJavaOptions": f"-javaagent:/no/such.jar -Dpassword={SECRET}-broken"}}
