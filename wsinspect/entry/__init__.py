"""Getting traffic in: browsers and programs that use the proxy and trust its CA without being changed."""
