"""The pages that are no readings: what a battery shows to a browser that lost its way (SONNEN_API 3)."""

NOT_FOUND_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sonnenBatterie</title></head>
<body><h1>Something went wrong</h1><p>Page not found</p></body>
</html>
"""
NOT_FOUND_XHTML = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head><title>404 - Not Found</title></head>
<body><h1>404 - Not Found</h1></body>
</html>
"""
START_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sonnenBatterie</title></head>
<body><h1>Welcome</h1><p>{"Production_W": 1234} is what this page would say if it were a reading.</p></body>
</html>
"""
