"""toxiproxy's toxics under their own names, with its attributes, units and defaults.

https://github.com/Shopify/toxiproxy#toxics
"""
