//! The model file: a head with the numbers, then one line per feature, `weight<TAB>name`, sorted by name.
//! Text, so that it can be read, searched and compared with the usual tools.

use std::fmt::Write as _;

use super::{MESSAGE, MIXED, Numbers};

const MAGIC: &str = "consentry model 2";

/// A feature's weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Words, or a class; how names are made is told in `docs/model.md`.
    pub name: String,
    /// Log-odds that it adds, before they are divided by the root of the number of the segment's features.
    pub weight: f32,
}

/// What is wrong with a model file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the model: {reason}")]
pub struct ModelError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Reads a model; gives each feature to `feature`.
pub(super) fn read<'a>(text: &'a str, mut feature: impl FnMut(f32, &'a str)) -> Result<Numbers, ModelError> {
    let mut numbers = Numbers::default();
    let mut in_head = true;
    for (index, line) in text.lines().enumerate() {
        let fault = |reason| ModelError { line: index + 1, reason };
        match (index, in_head) {
            (0, _) if line != MAGIC => return Err(fault("this is no model that this version reads")),
            (0, _) => {}
            (_, true) if line.is_empty() => in_head = false,
            (_, true) if line.starts_with('#') => {}
            (_, true) => {
                head_line(line, &mut numbers).ok_or_else(|| fault("a name and numbers are expected"))?
            }
            (_, false) => {
                let parsed =
                    line.split_once('\t').and_then(|(weight, name)| Some((weight.parse().ok()?, name)));
                let (weight, name) =
                    parsed.ok_or_else(|| fault("a weight, a tab and a name are expected"))?;
                feature(weight, name);
            }
        }
    }
    match in_head {
        true => Err(ModelError { line: text.lines().count(), reason: "there are no weights" }),
        false => Ok(numbers),
    }
}

/// All features of a model, as they stand in the file.
pub(super) fn features(text: &str) -> Result<Vec<Weight>, ModelError> {
    let mut all = Vec::new();
    read(text, |weight, name| all.push(Weight { name: name.to_owned(), weight }))?;
    Ok(all)
}

fn head_line(line: &str, numbers: &mut Numbers) -> Option<()> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let values: Vec<f32> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    match name {
        "bias" => numbers.bias = *values.first()?,
        "message" => numbers.message = values.try_into().ok()?,
        "mixed" => numbers.mixed = values.try_into().ok()?,
        _ => return None,
    }
    Some(())
}

/// Writes a model.
pub(super) fn write(numbers: &Numbers, mut weights: Vec<Weight>, made_from: &str) -> String {
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = format!("{MAGIC}\n# {made_from}\n");
    let row = |values: &[f32]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
    let (message, mixed): (&[f32; MESSAGE], &[f32; MIXED]) = (&numbers.message, &numbers.mixed);
    let _ = write!(text, "bias {:.4}\nmessage {}\nmixed {}\n\n", numbers.bias, row(message), row(mixed));
    for Weight { name, weight } in weights {
        let _ = writeln!(text, "{weight:.2}\t{name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers = Numbers { bias: -1.0, message: [1.0; MESSAGE], mixed: [0.25; MIXED] };
        let weights = vec![
            Weight { name: "your order".into(), weight: -0.5 },
            Weight { name: "discover".into(), weight: 1.25 },
        ];
        let text = write(&numbers, weights, "a test");
        let mut found = Vec::new();
        assert_eq!(read(&text, |weight, name| found.push((weight, name))), Ok(numbers));
        assert_eq!(found, [(1.25, "discover"), (-0.5, "your order")]);
    }

    #[test]
    fn a_faulty_line_is_named() {
        assert_eq!(read("x", |_, _| ()).map_err(|e| e.line), Err(1));
        assert_eq!(read(&format!("{MAGIC}\nbias x\n"), |_, _| ()).map_err(|e| e.line), Err(2));
        assert_eq!(read(&format!("{MAGIC}\n\n0.5 x\n"), |_, _| ()).map_err(|e| e.line), Err(3));
        assert_eq!(read(MAGIC, |_, _| ()).map_err(|e| e.line), Err(1));
    }
}
