//! How is a large piece of bookkeeping spread over the cores? By threads of its own: rayon's belong to whatever computes, and
//! a commit that waited for them would wait for a whole call.

/// Bytes from which on it is worth threads.
const LARGE: usize = 1 << 20;

/// The results of `each` for `0..count`, in order; `bytes` says how much work all of it is.
pub fn map<T: Send>(count: usize, bytes: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    if bytes < LARGE || threads < 2 {
        return (0..count).map(each).collect();
    }
    let share = count.div_ceil(threads);
    std::thread::scope(|scope| {
        let each = &each;
        let part = |start: usize| {
            scope.spawn(move || (start..count.min(start + share)).map(each).collect::<Vec<T>>())
        };
        let parts: Vec<_> = (0..count).step_by(share).map(part).collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_order_however_many_threads_there_are() {
        for (count, bytes) in [(0, 0), (1, 1 << 30), (7, 1), (7, 1 << 30), (1000, 1 << 30)] {
            assert_eq!(
                super::map(count, bytes, |at| at * 2),
                (0..count).map(|at| at * 2).collect::<Vec<_>>()
            );
        }
    }
}
