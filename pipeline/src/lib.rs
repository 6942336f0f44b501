//! The affectflow engine: a YAML file as typed, a plan as resolved, a run that is never wrong about its cache
