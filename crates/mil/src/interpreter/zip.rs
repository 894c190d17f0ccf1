//! Elementwise operations on two tensors of different shapes: NumPy's broadcasting, in runs that vectorise.

/// The shape that `a` and `b` are broadcast to; none when they cannot be.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let join = |(x, y)| match (x, y) {
        (1, other) | (other, 1) => Some(other),
        (x, y) if x == y => Some(x),
        _ => None,
    };
    (0..rank).map(|i| join((extent(a, i), extent(b, i)))).collect()
}

/// Steps of `shape` along the axes of `out`, 0 where it is repeated.
pub(super) fn strides(shape: &[usize], out: &[usize]) -> Vec<usize> {
    let mut steps = vec![0; out.len()];
    let mut step = 1;
    for (i, extent) in shape.iter().enumerate().rev() {
        let place = i + out.len() - shape.len();
        steps[place] = if *extent == 1 { 0 } else { step };
        step *= extent;
    }
    steps
}

/// One axis of the loop: extent, step of `a`, step of `b`.
type Axis = (usize, usize, usize);

/// Axes of the loop over `out`, with neighbours joined where both operands walk through them at one step.
fn axes(a: &[usize], b: &[usize], out: &[usize]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    for ((extent, a), b) in out.iter().zip(strides(a, out)).zip(strides(b, out)) {
        match axes.last_mut() {
            _ if *extent == 1 => {}
            Some(last) if last.1 == a * extent && last.2 == b * extent => *last = (last.0 * extent, a, b),
            _ => axes.push((*extent, a, b)),
        }
    }
    if axes.is_empty() {
        axes.push((1, 0, 0));
    }
    axes
}

/// `f` of the elements of `a` and `b`, broadcast to `out`, whose extents are those of [`broadcast`].
pub(super) fn zip<A: Copy, B: Copy, C>(a: (&[usize], &[A]), b: (&[usize], &[B]), out: &[usize], f: impl Fn(A, B) -> C) -> Vec<C> {
    let count = out.iter().product();
    let mut result = Vec::with_capacity(count);
    if count == 0 {
        return result;
    }
    let mut axes = axes(a.0, b.0, out);
    let (n, step_a, step_b) = axes.pop().unwrap_or((1, 0, 0));
    let mut counters = vec![0; axes.len()];
    let (mut at_a, mut at_b) = (0, 0);
    loop {
        run((&a.1[at_a..], step_a), (&b.1[at_b..], step_b), n, &f, &mut result);
        let mut i = axes.len();
        loop {
            if i == 0 {
                return result;
            }
            i -= 1;
            let (extent, step_a, step_b) = axes[i];
            counters[i] += 1;
            at_a += step_a;
            at_b += step_b;
            if counters[i] < extent {
                break;
            }
            counters[i] = 0;
            at_a -= extent * step_a;
            at_b -= extent * step_b;
        }
    }
}

/// The innermost loop: steps are 0 or 1, except along an axis that is no operand's last.
fn run<A: Copy, B: Copy, C>(a: (&[A], usize), b: (&[B], usize), n: usize, f: &impl Fn(A, B) -> C, out: &mut Vec<C>) {
    match (a.1, b.1) {
        (1, 1) => out.extend(a.0[..n].iter().zip(&b.0[..n]).map(|(x, y)| f(*x, *y))),
        (1, 0) => {
            let y = b.0[0];
            out.extend(a.0[..n].iter().map(|x| f(*x, y)));
        }
        (0, 1) => {
            let x = a.0[0];
            out.extend(b.0[..n].iter().map(|y| f(x, *y)));
        }
        (step_a, step_b) => out.extend((0..n).map(|i| f(a.0[i * step_a], b.0[i * step_b]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(a: (&[usize], &[i64]), b: (&[usize], &[i64]), out: &[usize]) -> Vec<i64> {
        let (sa, sb) = (strides(a.0, out), strides(b.0, out));
        let place = |mut i: usize, steps: &[usize]| {
            let mut at = 0;
            for (extent, step) in out.iter().zip(steps).rev() {
                at += i % extent * step;
                i /= extent;
            }
            at
        };
        (0..out.iter().product()).map(|i| 1000 * a.1[place(i, &sa)] + b.1[place(i, &sb)]).collect()
    }

    #[test]
    fn every_pair_of_shapes_agrees_with_the_definition() {
        let extents = [1, 2, 3];
        let shapes: Vec<Vec<usize>> =
            (0..81).map(|i| [i, i / 3, i / 9, i / 27].iter().map(|d| extents[d % 3]).collect()).collect();
        let data: Vec<i64> = (0..81).collect();
        let mut pairs = 0;
        for a in shapes.iter().chain([&vec![], &vec![3], &vec![2, 1]]) {
            for b in &shapes {
                let Some(out) = broadcast(a, b) else { continue };
                assert_eq!(
                    zip((a, &data), (b, &data), &out, |x, y| 1000 * x + y),
                    plain((a, &data), (b, &data), &out),
                    "{a:?} {b:?}"
                );
                pairs += 1;
            }
        }
        assert!(pairs > 2000, "{pairs}");
        assert_eq!(broadcast(&[2, 3], &[3, 2]), None);
    }
}
