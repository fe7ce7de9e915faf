"""The application of the example: answers every request with 200."""

import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"open\n")


def main(command):
    if command == "serve":
        HTTPServer(("", 8000), Shop).serve_forever()
    elif command == "ping":
        urllib.request.urlopen("http://127.0.0.1:8000/", timeout=1)
    elif command == "work":
        while True:
            time.sleep(60)


main(sys.argv[1])
