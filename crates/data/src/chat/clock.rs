//! Dates for templates: the part of `strftime` that they use.

/// A moment, in days and seconds of the proleptic Gregorian calendar, at the place where it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the beginning of 1970.
    pub seconds: i64,
}

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

impl Moment {
    /// As Python's `strftime` writes it in the C locale.
    ///
    /// # Errors
    /// The directive that is not known.
    pub fn format(self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let next = chars.next();
            let (flag, directive) = if next == Some('-') { (true, chars.next()) } else { (false, next) };
            out += &self.directive(flag, directive).ok_or_else(|| format!("strftime_now: unknown directive in {format:?}"))?;
        }
        Ok(out)
    }

    fn directive(self, bare: bool, directive: Option<char>) -> Option<String> {
        let (year, month, day) = self.date();
        let second = self.seconds.rem_euclid(86_400);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let two = |n: i64| if bare { n.to_string() } else { format!("{n:02}") };
        let weekday = DAYS[self.seconds.div_euclid(86_400).rem_euclid(7) as usize];
        let name = MONTHS[month as usize - 1];
        Some(match directive? {
            'Y' => year.to_string(),
            'y' => two(year.rem_euclid(100)),
            'm' => two(month),
            'd' => two(day),
            'e' => format!("{day:2}"),
            'B' => name.to_owned(),
            'b' | 'h' => name[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'H' => two(hour),
            'I' => two((hour + 11) % 12 + 1),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'M' => two(minute),
            'S' => two(second % 60),
            'F' => format!("{year}-{month:02}-{day:02}"),
            'T' => format!("{hour:02}:{minute:02}:{:02}", second % 60),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }

    /// Year, month and day. Years begin in March here, so that a leap day is the last one of a year.
    fn date(self) -> (i64, i64, i64) {
        let days = self.seconds.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }
}
