use super::*;
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

#[test]
fn a_story_is_a_pure_function_of_seed_and_number() {
    let (a, b) = (Stories::new(1), Stories::new(2));
    let forward: Vec<String> = (0..50).map(|i| a.story(i)).collect();
    let backward: Vec<String> = (0..50).rev().map(|i| a.story(i)).collect();
    assert!(forward.iter().eq(backward.iter().rev()));
    assert_ne!(a.story(7), b.story(7));
    let mut out = "before".to_string();
    a.write(7, &mut out);
    assert_eq!(out, format!("before{}", forward[7]));
}

#[test]
fn stories_are_varied_and_of_the_right_length() {
    let stories = Stories::new(42);
    let (mut words, mut distinct, mut lengths) = (0usize, BTreeMap::new(), Vec::new());
    let (mut seen, mut sentences, mut all) = (HashSet::new(), HashSet::new(), 0usize);
    let n = 20_000;
    for i in 0..n {
        let story = stories.story(i);
        let count = story.split_whitespace().count();
        words += count;
        lengths.push(count);
        for word in story.split(|c: char| !c.is_alphabetic() && c != '\'' && c != '-').filter(|w| !w.is_empty()) {
            *distinct.entry(word.to_lowercase()).or_insert(0usize) += 1;
        }
        for sentence in story.split(['.', '!', '?']) {
            all += 1;
            sentences.insert(sentence.trim().to_string());
        }
        assert!(seen.insert(story), "story {i} was told before");
    }
    lengths.sort_unstable();
    let at = |share: f64| lengths[(share * (n - 1) as f64) as usize];
    eprintln!(
        "{} distinct words, {:.0} words a story (1%: {}, median {}, 99%: {}), {} of {all} sentences differ",
        distinct.len(),
        words as f64 / n as f64,
        at(0.01),
        at(0.5),
        at(0.99),
        sentences.len()
    );
    assert!(distinct.len() > 2000, "{} words", distinct.len());
    assert!(at(0.01) >= 80 && at(0.99) <= 320, "{} to {}", at(0.01), at(0.99));
}

#[test]
fn sentence_templates_are_in_the_hundreds() {
    let shared = ["@open", "@weather", "@daily", "@idle", "@glad", "@thanks", "@try", "@think", "@home", "@moral", "@end"];
    let plots = || plots::PLOTS.iter().chain(plots_more::PLOTS);
    let own: usize = plots().flat_map(|p| p.iter()).map(|beat| beat.iter().filter(|t| !t.starts_with('@')).count()).sum();
    let common: usize = shared.iter().filter_map(|name| shared::find(name)).map(<[_]>::len).sum();
    eprintln!("{} plots, {} templates", plots().count(), own + common);
    assert!(plots().count() >= 12 && own + common > 500);
    for template in plots().flat_map(|p| p.iter()).flat_map(|beat| beat.iter()).filter(|t| t.starts_with('@')) {
        assert!(shared::find(template).is_some(), "{template}");
    }
}

/// Slips of the machinery that a reader would notice at once.
#[test]
fn text_is_clean() {
    let stories = Stories::new(3);
    for i in 0..5000 {
        let story = stories.story(i);
        let bad = ["  ", " .", " ,", "{", "}", "[", "]", "@", "|", "..", " \n", "\n\n\n"];
        if let Some(slip) = bad.iter().find(|slip| story.contains(*slip)) {
            panic!("story {i} has {slip:?}: {story}");
        }
        assert!(story.is_ascii() && !story.ends_with(char::is_whitespace));
        assert_eq!(story.matches('"').count() % 2, 0, "story {i}: {story}");
        let words: Vec<&str> = story.split_whitespace().collect();
        for pair in words.windows(2) {
            let next = pair[1].trim_start_matches('"').to_lowercase();
            let vowel = next.starts_with(['a', 'e', 'i', 'o']);
            assert!(!(matches!(pair[0], "a" | "A") && vowel), "story {i}: {} {}", pair[0], pair[1]);
            if pair[0].ends_with(['.', '?']) && pair[1].starts_with(char::is_alphabetic) {
                assert!(pair[1].starts_with(char::is_uppercase), "story {i}: {} {}", pair[0], pair[1]);
            }
        }
        for paragraph in story.split("\n\n") {
            let first = paragraph.trim_start_matches('"').chars().next();
            assert!(first.is_some_and(char::is_uppercase), "story {i}: {paragraph}");
        }
    }
}

#[test]
fn is_fast() {
    let stories = Stories::new(4);
    let start = Instant::now();
    let mut text = String::new();
    let mut bytes = 0;
    for i in 0..20_000 {
        text.clear();
        stories.write(i, &mut text);
        bytes += text.len();
    }
    let rate = bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
    eprintln!("{rate:.0} MB/s of stories on one thread");
    // Far below what any machine does, far above what a slip such as re-parsing the lists would leave.
    assert!(rate > 2.0, "{rate} MB/s");
    for i in 0..6 {
        eprintln!("--- story {i}\n{}", stories.story(i));
    }
}
