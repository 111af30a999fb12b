//! The training and evaluation sets follow their format, and are as varied as their README says:
//! `cargo test --test training_set -- --nocapture` prints the figures.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use consentry::detect::Class;
use consentry::detect::model::{LabelledMessage, read};

fn messages(directory: &str) -> Vec<LabelledMessage> {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(directory);
    for language in std::fs::read_dir(root).expect(directory).map(|entry| entry.expect("entry").path()) {
        if language.is_dir() {
            files.extend(
                std::fs::read_dir(language).expect("folder").map(|entry| entry.expect("entry").path()),
            );
        }
    }
    files.sort();
    let read_file = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("text");
        read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.into_iter().flat_map(read_file).collect()
}

#[test]
fn ids_are_unique_and_labels_fit_the_segments() {
    let mut ids = HashSet::new();
    for message in messages("training").into_iter().chain(messages("evaluation")) {
        let promotional = message.segments.iter().any(|segment| segment.promotional);
        assert_eq!(promotional, message.label.is_promotional(), "{}", message.id);
        assert!(["en", "id", "de", "fr", "es"].contains(&message.language()), "{}", message.id);
        assert!(ids.insert(message.id.clone()), "{} is there twice", message.id);
    }
}

#[test]
fn the_evaluation_set_repeats_nothing_of_the_training_set() {
    let long = |message: &LabelledMessage| -> Vec<String> {
        let texts = message.segments.iter().map(|segment| segment.text.to_lowercase());
        texts.filter(|text| text.split_whitespace().count() >= 6).collect()
    };
    let trained: HashSet<String> = messages("training").iter().flat_map(long).collect();
    let repeated: Vec<String> =
        messages("evaluation").iter().flat_map(long).filter(|text| trained.contains(text)).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
fn the_training_set_is_varied() {
    let messages = messages("training");
    println!(
        "language  messages  service  mixed  marketing  borderline  segments  promotional  sectors  occasions  devices"
    );
    let mut by_language: BTreeMap<&str, Vec<&LabelledMessage>> = BTreeMap::new();
    for message in &messages {
        by_language.entry(message.language()).or_default().push(message);
    }
    for (language, messages) in &by_language {
        print_counts(language, messages);
    }
    println!(
        "\nlanguage  words per segment  distinct 3-grams  nearest neighbour: median  90th percentile  above 0.6"
    );
    for (language, messages) in &by_language {
        let variety = variety(messages);
        println!(
            "{language:8}  {:17.1}  {:14.1} %  {:25.2}  {:15.2}  {:7.1} %",
            variety.words, variety.distinct, variety.median, variety.ninetieth, variety.alike
        );
        assert!(variety.distinct > 75.0, "{language}: 3-grams repeat");
        assert!(variety.alike < 5.0, "{language}: segments are alike");
    }
}

fn print_counts(language: &str, messages: &[&LabelledMessage]) {
    let of_label = |label: Class| messages.iter().filter(|message| message.label == label).count();
    let segments: Vec<_> = messages.iter().flat_map(|message| &message.segments).collect();
    let promotional = segments.iter().filter(|segment| segment.promotional).count();
    let distinct = |names: Vec<&str>| names.into_iter().collect::<BTreeSet<_>>().len();
    println!(
        "{language:8}  {:8}  {:7}  {:5}  {:9}  {:10}  {:8}  {promotional:11}  {:7}  {:9}  {:7}",
        messages.len(),
        of_label(Class::Service),
        of_label(Class::Mixed),
        of_label(Class::Marketing),
        messages.iter().filter(|message| message.borderline).count(),
        segments.len(),
        distinct(messages.iter().map(|message| message.sector.as_str()).collect()),
        distinct(messages.iter().map(|message| message.occasion.as_str()).collect()),
        distinct(segments.iter().filter(|s| s.promotional).map(|s| s.device.as_str()).collect()),
    );
}

struct Variety {
    words: f64,
    distinct: f64,
    median: f64,
    ninetieth: f64,
    alike: f64,
}

/// Of segments with at least five words: how many of their word 3-grams are different ones, and how like
/// (Jaccard, word pairs) the likest segment of another message is.
fn variety(messages: &[&LabelledMessage]) -> Variety {
    let mut segments: Vec<(usize, Vec<String>)> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        for segment in &message.segments {
            let words: Vec<String> = segment
                .text
                .to_lowercase()
                .split(|c: char| !c.is_alphabetic() && c != '\'')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            if words.len() >= 5 {
                segments.push((number, words));
            }
        }
    }
    let all: Vec<&[String]> = segments.iter().flat_map(|(_, words)| words.windows(3)).collect();
    let distinct: HashSet<&[String]> = all.iter().copied().collect();
    let mut nearest = nearest(&segments);
    nearest.sort_by(f64::total_cmp);
    let count = nearest.len();
    Variety {
        words: segments.iter().map(|(_, words)| words.len()).sum::<usize>() as f64 / count as f64,
        distinct: 100.0 * distinct.len() as f64 / all.len() as f64,
        median: nearest[count / 2],
        ninetieth: nearest[count * 9 / 10],
        alike: 100.0 * nearest.iter().filter(|similarity| **similarity > 0.6).count() as f64 / count as f64,
    }
}

fn nearest(segments: &[(usize, Vec<String>)]) -> Vec<f64> {
    let pairs: Vec<HashSet<&[String]>> =
        segments.iter().map(|(_, words)| words.windows(2).collect()).collect();
    let mut holders: HashMap<&[String], Vec<usize>> = HashMap::new();
    for (index, pairs) in pairs.iter().enumerate() {
        for pair in pairs {
            holders.entry(pair).or_default().push(index);
        }
    }
    let likest = |index: usize| {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for other in pairs[index].iter().flat_map(|pair| &holders[pair]) {
            if segments[*other].0 != segments[index].0 {
                *shared.entry(*other).or_default() += 1;
            }
        }
        shared
            .into_iter()
            .map(|(other, shared)| shared as f64 / (pairs[index].len() + pairs[other].len() - shared) as f64)
            .fold(0.0, f64::max)
    };
    (0..segments.len()).map(likest).collect()
}
