//! Stages that do next to nothing, to see what plugging in costs: `idle` reads four columns and adds one that lies ready, `weigh`
//! reads pictures and gives their sizes.

use std::sync::Arc;

use affectflow_plugin::prelude::*;

/// No options.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

/// Reads four columns and adds one.
pub struct Idle;

impl Stage for Idle {
    type Options = Options;

    fn about(&self) -> Manifest {
        let reads = Manifest::map("idle", 1, "Does nothing").reads("a", "utf8").reads("b", "float32");
        reads.reads("c", "int32").reads("d", "binary").adds("e", "uint32", "zero").rows_per_call(1024)
    }

    fn open(&self, _: Options) -> Result<Box<dyn Work>, Error> {
        let ready: ArrayRef = Arc::new(UInt32Array::from(vec![0; 1024]));
        Ok(work(move |rows, _| Ok(vec![ready.slice(0, rows.num_rows())])))
    }
}

/// Reads pictures and gives their sizes.
pub struct Weigh;

impl Stage for Weigh {
    type Options = Options;

    fn about(&self) -> Manifest {
        Manifest::map("weigh", 1, "Weighs pictures").reads("image", "binary").adds(
            "bytes",
            "uint64",
            "of the picture",
        )
    }

    fn open(&self, _: Options) -> Result<Box<dyn Work>, Error> {
        Ok(work(|rows, _| {
            let sizes = rows.column(1).as_binary::<i32>().iter().map(|picture| Some(picture?.len() as u64));
            Ok(vec![Arc::new(sizes.collect::<UInt64Array>())])
        }))
    }
}
