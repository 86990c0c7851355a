import os

import library_service

os.environ["LIBRARY_PORT"] = str(library_service.start())
os.environ["LIBRARY_TOKEN"] = "example-token"
