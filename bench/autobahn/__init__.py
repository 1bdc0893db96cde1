"""The Autobahn test suite, straight and through a proxy: does the proxy change a verdict?"""
