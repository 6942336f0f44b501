//! The six stages of KCDP and a few helpers
