//! What the policy of an export says about what the scan looks at: ports, settings of plugins, families, single plugins.
//!
//! Read only for those who compare scans; a policy can be most of an export.

/// The most plugins, families and settings that are kept; of a longer list nothing is known.
const MOST_PLUGINS: usize = 1_000_000;
const MOST_FAMILIES: usize = 1_000;
const MOST_SETTINGS: usize = 64;
/// The longest text that is kept; lists of ports are the longest.
pub(super) const TEXT_BYTES: usize = 64 << 10;

/// The elements that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScopeElement {
    /// The value of the preference that was named.
    Preference,
    /// The name of a plugin's setting.
    SettingName,
    SettingValue,
    FamilyName,
    PluginId,
    /// Whether the family or plugin that was named is on.
    Status,
}

impl ScopeElement {
    /// The element of a name so deep in the policy; `preference` is the one that was named last.
    pub(super) fn of(depth: usize, name: &str, preference: &str) -> Option<Self> {
        match (depth, name) {
            (5, "value") if matches!(preference.trim(), "port_range" | "safe_checks") => Some(Self::Preference),
            (5, "fullName") => Some(Self::SettingName),
            (5, "selectedValue") => Some(Self::SettingValue),
            (4, "FamilyName") => Some(Self::FamilyName),
            (4, "PluginId") => Some(Self::PluginId),
            (4, "Status") => Some(Self::Status),
            _ => None,
        }
    }
}

/// Why a policy leaves a plugin out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It is not in the set of plugins, or switched off.
    Plugin,
    /// Its family is switched off.
    Family,
}

/// What a policy says about what the scan looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PolicyScope {
    /// Names and values: of `port_range` and `safe_checks`, and of the settings that decide how much is tested.
    settings: Vec<(String, String)>,
    /// The families that are off, in order.
    families_off: Vec<String>,
    says_families: bool,
    /// Single plugins that are on or off, in order.
    single: Vec<(u32, bool)>,
    /// The plugins of the set, in order, when the reading is over.
    set: Vec<u32>,
    has_set: bool,
    /// What was named last: a setting, a family, a plugin.
    named: Option<(ScopeElement, String)>,
}

impl PolicyScope {
    /// Takes in the text of an element.
    pub(super) fn take(&mut self, element: ScopeElement, preference: &str, text: &str) {
        let text = text.trim();
        match element {
            ScopeElement::Preference => self.set(preference.trim().to_owned(), text),
            ScopeElement::SettingValue => {
                if let Some((ScopeElement::SettingName, name)) = self.named.take() {
                    let decides = ["Global variable settings", "Web Application Tests Settings"];
                    if decides.into_iter().any(|plugin| name.starts_with(plugin)) {
                        self.set(name, text);
                    }
                }
            }
            ScopeElement::SettingName | ScopeElement::FamilyName | ScopeElement::PluginId => {
                self.says_families |= element == ScopeElement::FamilyName;
                self.named = Some((element, text.to_owned()));
            }
            ScopeElement::Status => {
                let is = |word: &str| text.eq_ignore_ascii_case(word);
                match self.named.take() {
                    Some((ScopeElement::FamilyName, family))
                        if is("disabled") && self.families_off.len() < MOST_FAMILIES =>
                    {
                        self.families_off.push(family);
                    }
                    Some((ScopeElement::PluginId, plugin)) if is("disabled") || is("enabled") => {
                        if let Ok(plugin) = plugin.parse()
                            && self.single.len() < MOST_PLUGINS
                        {
                            self.single.push((plugin, is("enabled")));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes in a plugin of the set.
    pub(super) fn add_plugin(&mut self, plugin: u64) {
        if self.set.len() <= MOST_PLUGINS {
            self.set.extend(u32::try_from(plugin));
        }
    }

    /// The policy was read to its end.
    pub(super) fn finish(&mut self) {
        self.named = None;
        self.has_set = (1..=MOST_PLUGINS).contains(&self.set.len());
        if !self.has_set {
            self.set = Vec::new();
        }
        self.set.sort_unstable();
        self.set.dedup();
        self.single.sort_unstable();
        self.families_off.sort_unstable();
        self.families_off.dedup();
    }

    fn set(&mut self, name: String, value: &str) {
        if self.settings.len() < MOST_SETTINGS {
            self.settings.push((name, value.to_owned()));
        }
    }

    /// The value of the setting whose name holds `part`.
    pub(crate) fn setting(&self, part: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings.find(|(name, _)| name.contains(part)).map(|(_, value)| &**value)
    }

    /// Whether it says of families which are on.
    pub(crate) fn says_families(&self) -> bool {
        self.says_families
    }

    /// The families that are switched off, in order.
    pub(crate) fn families_off(&self) -> &[String] {
        &self.families_off
    }

    /// Why the policy leaves a plugin out; `None` when it does not, or does not say.
    pub(crate) fn leaves_out(&self, plugin: u32, family: &str) -> Option<LeftOut> {
        let single = self.single.partition_point(|(known, _)| *known < plugin);
        if let Some((_, on)) = self.single.get(single).filter(|(known, _)| *known == plugin) {
            return (!on).then_some(LeftOut::Plugin);
        }
        if self.has_set && self.set.binary_search(&plugin).is_ok() {
            return None;
        }
        if !family.is_empty() && self.families_off.iter().any(|off| off.eq_ignore_ascii_case(family.trim())) {
            return Some(LeftOut::Family);
        }
        self.has_set.then_some(LeftOut::Plugin)
    }
}
