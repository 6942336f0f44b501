//! Where does each box stand? Layers by longest path, order by barycentres, places by least squares without overlap.

/// Most bends of edges; where more would be needed, edges go straight and may pass behind boxes.
const MOST_BENDS: usize = 100_000;
/// Times that each layer is ordered anew.
const SWEEPS: usize = 12;

/// Widths and gaps, in the units of the picture.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Width of a box.
    pub width: f64,
    /// Least gap between two boxes of a layer.
    pub gap: f64,
    /// Room that an edge takes which passes a layer.
    pub bend: f64,
}

/// Where everything stands.
pub struct Layout {
    /// Of each box: the middle of its width, and its layer from the top.
    pub boxes: Vec<(f64, usize)>,
    /// Of each edge: where it passes the layers between its ends, in order.
    pub bends: Vec<Vec<f64>>,
    /// From the left side of the first box to the right side of the last.
    pub width: f64,
    /// Number of layers.
    pub layers: usize,
}

/// Boxes and bends, in layers.
struct Grid {
    /// Layer of each; the boxes first, then bends.
    layer: Vec<usize>,
    /// Neighbours in the layer above.
    above: Vec<Vec<usize>>,
    /// Neighbours in the layer below.
    below: Vec<Vec<usize>>,
    /// Who stands in each layer, from the left.
    rows: Vec<Vec<usize>>,
    /// The bends of each edge.
    bends: Vec<Vec<usize>>,
}

/// Lays out so many boxes; each edge goes from a box to one of higher number.
pub fn layout(boxes: usize, edges: &[(usize, usize)], sizes: Sizes) -> Layout {
    let mut grid = Grid::new(boxes, edges);
    grid.order();
    let mut places = grid.places(boxes, sizes);
    let left = places.iter().take(boxes).copied().fold(f64::INFINITY, f64::min) - sizes.width / 2.0;
    let least = places.iter().copied().fold(left, f64::min);
    places.iter_mut().for_each(|x| *x -= least);
    let right = places.iter().take(boxes).map(|x| x + sizes.width / 2.0);
    let width = right.chain(places.iter().copied()).fold(sizes.width, f64::max);
    let bends = grid.bends.iter().map(|bends| bends.iter().map(|&at| places[at]).collect());
    Layout {
        boxes: (0..boxes).map(|at| (places[at], grid.layer[at])).collect(),
        bends: bends.collect(),
        width,
        layers: grid.rows.len(),
    }
}

/// The layer of each box: below all that it takes from; who takes nothing stands just above the first that takes from it.
fn layers(boxes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layer = vec![0; boxes];
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    sorted.iter().for_each(|&(from, to)| layer[to] = layer[to].max(layer[from] + 1));
    let (mut takes, mut first_taker) = (vec![false; boxes], vec![None::<usize>; boxes]);
    for &(from, to) in edges {
        takes[to] = true;
        first_taker[from] = Some(first_taker[from].map_or(layer[to], |first| first.min(layer[to])));
    }
    for at in (0..boxes).filter(|&at| !takes[at]) {
        layer[at] = first_taker[at].map_or(0, |first| first.saturating_sub(1));
    }
    layer
}

impl Grid {
    fn new(boxes: usize, edges: &[(usize, usize)]) -> Self {
        let layer = layers(boxes, edges);
        let depth = layer.iter().max().map_or(0, |last| last + 1);
        let mut rows = vec![Vec::new(); depth];
        layer.iter().enumerate().for_each(|(at, &layer)| rows[layer].push(at));
        let none = vec![Vec::new(); boxes];
        let mut grid = Grid { layer, above: none.clone(), below: none, rows, bends: Vec::new() };
        let needed: usize = edges.iter().map(|&(from, to)| grid.layer[to] - grid.layer[from] - 1).sum();
        for &(from, to) in edges {
            let bends = if needed > MOST_BENDS { Vec::new() } else { grid.bend(from, to) };
            let way: Vec<usize> = [&[from][..], &bends, &[to]].concat();
            way.windows(2).for_each(|pair| {
                grid.below[pair[0]].push(pair[1]);
                grid.above[pair[1]].push(pair[0]);
            });
            grid.bends.push(bends);
        }
        grid
    }

    /// New bends in every layer between two boxes.
    fn bend(&mut self, from: usize, to: usize) -> Vec<usize> {
        let between = self.layer[from] + 1..self.layer[to];
        between
            .map(|layer| {
                let at = self.layer.len();
                self.layer.push(layer);
                self.above.push(Vec::new());
                self.below.push(Vec::new());
                self.rows[layer].push(at);
                at
            })
            .collect()
    }

    /// Orders each layer by the mean place of its neighbours, downwards and upwards; the order with fewest crossings stays.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.rows.clone());
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let mut place = self.ranks();
            for step in 0..self.rows.len() {
                let layer = if down { step } else { self.rows.len() - 1 - step };
                let neighbours = if down { &self.above } else { &self.below };
                let mut keyed: Vec<(f64, usize)> = self.rows[layer]
                    .iter()
                    .map(|&at| (mean(&neighbours[at], &place).unwrap_or(place[at]), at))
                    .collect();
                // Stable: equals keep their order, or in every other pair of sweeps turn it round, so that both are tried.
                if sweep / 2 % 2 == 1 {
                    keyed.reverse();
                }
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.rows[layer] = keyed.into_iter().map(|(_, at)| at).collect();
                self.rows[layer].iter().enumerate().for_each(|(rank, &at)| place[at] = rank as f64);
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    /// The place of each in its layer.
    fn ranks(&self) -> Vec<f64> {
        let mut place = vec![0.0; self.layer.len()];
        self.rows
            .iter()
            .for_each(|row| row.iter().enumerate().for_each(|(rank, &at)| place[at] = rank as f64));
        place
    }

    /// How many pairs of edges cross.
    fn crossings(&self) -> usize {
        let place = self.ranks();
        let row = |row: &Vec<usize>| {
            let mut ends: Vec<usize> = Vec::new();
            for &at in row {
                let mut below: Vec<usize> = self.below[at].iter().map(|&to| place[to] as usize).collect();
                below.sort_unstable();
                ends.extend(below);
            }
            inversions(&ends)
        };
        self.rows.iter().map(row).sum()
    }

    /// The middle of each: as near as can be to its neighbours, above and below in turns.
    fn places(&self, boxes: usize, sizes: Sizes) -> Vec<f64> {
        let half = |at: usize| if at < boxes { sizes.width / 2.0 } else { sizes.bend / 2.0 };
        let offsets: Vec<Vec<f64>> = self.rows.iter().map(|row| spread(row, half, sizes.gap)).collect();
        let mut places = vec![0.0; self.layer.len()];
        for (row, offsets) in self.rows.iter().zip(&offsets) {
            let middle = offsets.last().map_or(0.0, |last| last / 2.0);
            row.iter().zip(offsets).for_each(|(&at, offset)| places[at] = offset - middle);
        }
        for sweep in 0..2 * SWEEPS {
            for step in 0..self.rows.len() {
                let down = sweep % 2 == 0;
                let layer = if down { step } else { self.rows.len() - 1 - step };
                let neighbours = if down { &self.above } else { &self.below };
                let row = &self.rows[layer];
                let wanted: Vec<f64> = row
                    .iter()
                    .map(|&at| mean(&neighbours[at], &places).unwrap_or(places[at]))
                    .zip(&offsets[layer])
                    .map(|(place, offset)| place - offset)
                    .collect();
                let near = rising(&wanted);
                row.iter()
                    .zip(near.iter().zip(&offsets[layer]))
                    .for_each(|(&at, (x, offset))| places[at] = x + offset);
            }
        }
        places
    }
}

/// The least distance of each from the first of its layer.
fn spread(row: &[usize], half: impl Fn(usize) -> f64, gap: f64) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(row.len());
    let mut x = 0.0;
    for (at, &one) in row.iter().enumerate() {
        if at > 0 {
            x += half(row[at - 1]) + gap + half(one);
        }
        offsets.push(x);
    }
    offsets
}

fn mean(of: &[usize], place: &[f64]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|&at| place[at]).sum::<f64>() / of.len() as f64)
}

/// The numbers that never fall and are nearest to those given (least squares): neighbours that would fall become their mean.
fn rising(wanted: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &value in wanted {
        let mut block = (value, 1);
        while let Some(&(before, length)) = blocks.last().filter(|(before, _)| *before > block.0) {
            let all = length + block.1;
            block = ((before * length as f64 + block.0 * block.1 as f64) / all as f64, all);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.iter().flat_map(|&(value, length)| std::iter::repeat_n(value, length)).collect()
}

/// How many pairs stand in falling order, by merging halves.
fn inversions(numbers: &[usize]) -> usize {
    fn sort(numbers: &mut Vec<usize>) -> usize {
        if numbers.len() < 2 {
            return 0;
        }
        let mut right = numbers.split_off(numbers.len() / 2);
        let mut found = sort(numbers) + sort(&mut right);
        let left = std::mem::take(numbers);
        let mut first = left.iter().peekable();
        for second in right {
            while let Some(&next) = first.next_if(|&&next| next <= second) {
                numbers.push(next);
            }
            found += first.len();
            numbers.push(second);
        }
        numbers.extend(first);
        found
    }
    sort(&mut numbers.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { width: 100.0, gap: 20.0, bend: 10.0 };

    /// Fails where two boxes of a layer overlap, or an edge passes through a box.
    fn check(boxes: usize, edges: &[(usize, usize)]) -> Layout {
        let found = layout(boxes, edges, SIZES);
        let apart = |a: f64, b: f64, least: f64| assert!((a - b).abs() > least - 1e-6, "{a} {b}");
        for a in 0..boxes {
            assert!(found.boxes[a].0 >= 50.0 - 1e-6 && found.boxes[a].0 <= found.width - 50.0 + 1e-6);
            for b in (a + 1..boxes).filter(|&b| found.boxes[a].1 == found.boxes[b].1) {
                apart(found.boxes[a].0, found.boxes[b].0, 120.0);
            }
            for (bends, &(from, _)) in found.bends.iter().zip(edges) {
                let layer = found.boxes[a].1;
                if let Some(at) = layer.checked_sub(found.boxes[from].1 + 1).filter(|&at| at < bends.len()) {
                    apart(found.boxes[a].0, bends[at], 75.0);
                }
            }
        }
        for (&(from, to), bends) in edges.iter().zip(&found.bends) {
            assert_eq!(found.boxes[to].1 - found.boxes[from].1, bends.len() + 1);
        }
        found
    }

    #[test]
    fn a_chain_is_straight_and_a_fork_is_even() {
        let edges: Vec<(usize, usize)> = (0..59).map(|at| (at, at + 1)).collect();
        let chain = check(60, &edges);
        assert_eq!((chain.layers, chain.width), (60, 100.0));
        let fork = check(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]);
        assert_eq!(fork.boxes[0].0, fork.boxes[3].0);
        assert_eq!(fork.boxes[1].0 + fork.boxes[2].0, 2.0 * fork.boxes[0].0);
    }

    #[test]
    fn what_can_be_drawn_without_crossings_is() {
        // Written so that every edge crosses at first.
        let edges = [(0, 5), (1, 4), (2, 3), (3, 8), (4, 7), (5, 6), (0, 8)];
        let mut grid = Grid::new(9, &edges);
        assert!(grid.crossings() > 0);
        grid.order();
        assert_eq!(grid.crossings(), 0);
        check(9, &edges);
    }

    #[test]
    fn no_graph_overlaps() {
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for _ in 0..200 {
            let boxes = 1 + random(14);
            let mut edges = Vec::new();
            for to in 1..boxes {
                (0..random(3)).for_each(|_| edges.push((random(to), to)));
            }
            check(boxes, &edges);
        }
        assert_eq!(layout(0, &[], SIZES).layers, 0);
    }

    #[test]
    fn the_nearest_rising_numbers_and_pairs_that_fall() {
        assert_eq!(rising(&[1.0, 5.0, 3.0, 4.0]), [1.0, 4.0, 4.0, 4.0]);
        assert_eq!((inversions(&[3, 1, 2]), inversions(&[1, 1, 2])), (2, 0));
    }
}
