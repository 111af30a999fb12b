//! Logistic regression with an L2 penalty, by coordinate descent on the dual (Yu, Huang and Lin, Machine
//! Learning 85, 2011). The same examples give the same weights, whatever the machine.

/// One example: features by number with their values, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub features: Vec<(u32, f32)>,
    pub positive: bool,
    /// How much it counts: the inverse strength of the penalty.
    pub weight: f32,
}

const ROUNDS: usize = 40;
/// Change of the dual variables, relative to the examples' weights, at which it has settled.
const SETTLED: f64 = 2e-3;
const NEWTON_STEPS: usize = 30;

/// The weights of `count` features.
pub(super) fn logistic_regression(examples: &[Example], count: usize) -> Vec<f32> {
    let mut weights = vec![0.0_f64; count];
    let mut duals: Vec<f64> =
        examples.iter().map(|example| (1e-3 * f64::from(example.weight)).min(1e-8)).collect();
    for (example, dual) in examples.iter().zip(&duals) {
        add(&mut weights, example, sign(example) * dual);
    }
    let mut order: Vec<usize> = (0..examples.len()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..ROUNDS {
        shuffle(&mut order, &mut random);
        let mut most = 0.0_f64;
        for &index in &order {
            let change = improve(&mut weights, &examples[index], &mut duals[index]);
            most = most.max(change.abs() / f64::from(examples[index].weight));
        }
        if most < SETTLED {
            break;
        }
    }
    weights.into_iter().map(|weight| weight as f32).collect()
}

/// Solves for one dual variable with the others fixed; gives its change.
fn improve(weights: &mut [f64], example: &Example, dual: &mut f64) -> f64 {
    let bound = f64::from(example.weight);
    let square: f64 = example.features.iter().map(|(_, value)| f64::from(*value).powi(2)).sum();
    let dot: f64 =
        example.features.iter().map(|(feature, value)| weights[*feature as usize] * f64::from(*value)).sum();
    let margin = sign(example) * dot;
    let mirrored = 0.5 * square * (bound - 2.0 * *dual) + margin < 0.0;
    let (old, direction) = if mirrored { (bound - *dual, -1.0) } else { (*dual, 1.0) };
    let mut z = if bound - old < 0.5 * bound { 0.1 * old } else { old };
    let gradient = |z: f64| square * (z - old) + direction * margin + (z / (bound - z)).ln();
    for _ in 0..NEWTON_STEPS {
        let slope = gradient(z);
        if slope.abs() < 1e-4 {
            break;
        }
        let next = z - slope / (square + bound / (bound - z) / z);
        z = if next <= 0.0 { 0.1 * z } else { next.min(bound * (1.0 - 1e-12)) };
    }
    let change = direction * (z - old);
    *dual += change;
    add(weights, example, sign(example) * change);
    change
}

fn add(weights: &mut [f64], example: &Example, factor: f64) {
    for (feature, value) in &example.features {
        weights[*feature as usize] += factor * f64::from(*value);
    }
}

fn sign(example: &Example) -> f64 {
    if example.positive { 1.0 } else { -1.0 }
}

fn shuffle(order: &mut [usize], random: &mut u64) {
    for end in (1..order.len()).rev() {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(end, (*random >> 33) as usize % (end + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(features: &[(u32, f32)], positive: bool) -> Example {
        Example { features: features.to_vec(), positive, weight: 1.0 }
    }

    #[test]
    fn the_gradient_vanishes_at_the_solution() {
        let examples = [
            example(&[(0, 1.0), (1, 1.0)], true),
            example(&[(0, 1.0), (2, 1.0)], false),
            example(&[(0, 1.0), (1, 1.0), (2, 1.0)], true),
            example(&[(0, 1.0)], false),
        ];
        let weights = logistic_regression(&examples, 3);
        for (feature, weight) in weights.iter().enumerate() {
            let slope: f32 = examples
                .iter()
                .map(|example| {
                    let value = example
                        .features
                        .iter()
                        .find(|(f, _)| *f as usize == feature)
                        .map_or(0.0, |(_, v)| *v);
                    let sum: f32 = example.features.iter().map(|(f, v)| weights[*f as usize] * v).sum();
                    let y = if example.positive { 1.0 } else { -1.0 };
                    -y * value / (1.0 + (y * sum).exp())
                })
                .sum();
            assert!((weight + slope).abs() < 2e-2, "{feature}: {weight} {slope}");
        }
        assert!(weights[1] > 0.3 && weights[2] < 0.0, "{weights:?}");
    }
}
