//! How is the file typed? YAML with the place of every value.
