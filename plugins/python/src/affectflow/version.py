"""Which release is this, and which versions of the plugin contract does it know?"""

VERSION = "0.1.0"
SDK = f"affectflow-python {VERSION}"

#: Lowest and highest version of the contract (plugins/PROTOCOL.md).
CONTRACT = (1, 1)
