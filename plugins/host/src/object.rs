//! Is a file a library for this machine? Its first bytes, looked at before anything of it runs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Processors by their number in ELF.
const ELF: &[(u16, &str)] = &[
    (3, "x86"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (21, "powerpc64"),
    (22, "s390x"),
];

/// Fails where a file is no library of this machine, as far as its first bytes tell.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let mut head = [0; 64];
    let read = File::open(path).and_then(|mut file| {
        let mut filled = 0;
        while filled < head.len() {
            match file.read(&mut head[filled..])? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        Ok(filled)
    });
    let filled = read.map_err(|error| format!("it cannot be read: {error}"))?;
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    if filled < head.len() || head[..4] != *b"\x7fELF" {
        return Err("it is no shared library".into());
    }
    if head[4] == 2 && head[5] == 1 {
        // The table of sections lies at the end of what linkers write.
        let whole = std::fs::metadata(path).map_or(u64::MAX, |meta| meta.len());
        let at = u64::from_le_bytes(head[40..48].try_into().unwrap_or_default());
        if at > whole {
            return Err("it is not whole: its end is missing".into());
        }
    }
    let number = match head[5] {
        1 => u16::from_le_bytes([head[18], head[19]]),
        _ => u16::from_be_bytes([head[18], head[19]]),
    };
    let built = ELF.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    match built {
        Some(built) if built == std::env::consts::ARCH => Ok(()),
        Some(built) => {
            let here = std::env::consts::ARCH;
            Err(format!("it was built for another processor ({built}, and this is {here})"))
        }
        None => Err("it was built for another processor".into()),
    }
}
