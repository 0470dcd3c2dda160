//! How the live view looks, and what keys do.

use anstyle::{Ansi256Color, Color as AnsiColor, Effects};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use issuecommand::domain::{ClaimStatus, in_one_line};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::claims::{cells, columns};
use super::super::show::{BAD, BOLD, MARK, SOFT, span, status};
use super::super::table::{Cell, Table, long, number, place, text};
use super::picture::Picture;

/// Parts in trouble that are told; `issuecommand health` tells all.
const TROUBLE_COUNT_MAX: usize = 3;
/// Rows for what happened last, with their head.
const STEP_ROW_COUNT_MAX: u16 = 9;
/// How far a page key scrolls.
const PAGE: usize = 10;

/// What is on the screen.
#[derive(Debug)]
pub struct View {
    picture: Picture,
    /// Why there is no newer picture.
    trouble: Option<String>,
    /// Claims above the first that is shown.
    offset: usize,
    is_coloured: bool,
}

/// What somebody at the keyboard wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    GoOn,
    Enough,
}

impl View {
    /// Of a first picture. Where colours are not wanted there are none.
    pub fn of(picture: Picture) -> Self {
        let is_coloured = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
        Self { picture, trouble: None, offset: 0, is_coloured }
    }

    /// Takes in another look, which may have failed: then the last picture stays, and why.
    pub fn take(&mut self, look: anyhow::Result<Picture>) {
        match look {
            Ok(picture) => (self.picture, self.trouble) = (picture, None),
            Err(error) => self.trouble = Some(format!("{error:#}")),
        }
    }

    /// Does what a key says. A new size of the terminal needs no more than to be drawn again.
    pub fn hear(&mut self, event: &Event) -> Word {
        let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
            return Word::GoOn;
        };
        self.offset = match code {
            KeyCode::Char('q') | KeyCode::Esc => return Word::Enough,
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Word::Enough,
            KeyCode::Up => self.offset.saturating_sub(1),
            KeyCode::Down => self.offset + 1,
            KeyCode::PageUp => self.offset.saturating_sub(PAGE),
            KeyCode::PageDown => self.offset + PAGE,
            KeyCode::Home => 0,
            _ => self.offset,
        };
        Word::GoOn
    }

    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let head = self.head();
        let step_rows = STEP_ROW_COUNT_MAX.min(frame.area().height / 3);
        let parts = [
            Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
            Constraint::Length(step_rows),
            Constraint::Length(1),
        ];
        let [head_area, _, claims_area, _, steps_area, foot_area] = Layout::vertical(parts).areas(frame.area());
        frame.render_widget(ratatui::text::Text::from(head), head_area);
        self.draw_claims(frame, claims_area);
        let steps = self.steps().lines(Some(steps_area.width.into()));
        self.draw_lines(frame, steps_area, steps.into_iter());
        let foot = [Cell::styled("  q ends, arrows scroll", SOFT)];
        frame.render_widget(self.line(&foot), foot_area);
    }

    /// How the server is, and how many claims stand where.
    fn head(&self) -> Vec<Line<'static>> {
        let health = &self.picture.health;
        let (state, uptime) = health.state();
        let synced = health.last_github_sync_at.map(|at| format!(", synced {} ago", span(self.picture.at - at)));
        let synced = synced.unwrap_or_else(|| ", not synced yet".to_owned());
        let mut lines = vec![self.line(&[
            Cell::styled("  IssueCommand", BOLD),
            "  ".into(),
            state,
            format!(", up {uptime}{synced}").into(),
        ])];
        let (held, agents) = (health.active_claims, health.active_agents);
        let mut counts =
            vec![Cell::from(format!("  {} open issues, {held} held by {agents} agents", health.open_issues))];
        for status_of in ClaimStatus::ALL {
            let count = self.picture.claims.iter().filter(|claim| claim.status() == status_of).count();
            if count > 0 {
                let cell = status(status_of);
                counts.extend([", ".into(), Cell::styled(&format!("{count} {}", cell.text()), cell.style())]);
            }
        }
        lines.push(self.line(&counts));
        for trouble in health.degraded.iter().take(TROUBLE_COUNT_MAX) {
            lines.push(self.line(&[Cell::styled(&format!("  {trouble}"), MARK)]));
        }
        if let Some(trouble) = &self.trouble {
            let told = format!("  no news since {}: {trouble}", self.picture.at.format("%H:%M:%S UTC"));
            lines.push(self.line(&[Cell::styled(&told, BAD)]));
        }
        lines
    }

    fn draw_claims(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let mut table = Table::of(columns());
        for claim in &self.picture.claims {
            table.row(cells(claim, self.picture.at));
        }
        if table.is_empty() {
            return frame.render_widget(self.line(&["  nobody holds anything".into()]), area);
        }
        let mut lines = table.lines(Some(area.width.into())).into_iter();
        let head = lines.next();
        // The last one stays in sight, however far somebody scrolls.
        let room = usize::from(area.height).saturating_sub(1);
        self.offset = self.offset.min(self.picture.claims.len().saturating_sub(room));
        self.draw_lines(frame, area, head.into_iter().chain(lines.skip(self.offset)));
    }

    /// What happened last.
    fn steps(&self) -> Table {
        let mut table = Table::of([number("ago"), text("agent"), place("issue"), text("now"), long("note")]);
        for step in self.picture.steps.iter().take(STEP_ROW_COUNT_MAX.into()) {
            table.row([
                Cell::from(span(self.picture.at - step.at)),
                step.agent.as_str().into(),
                step.issue.to_string().into(),
                status(step.status),
                step.note.as_str().into(),
            ]);
        }
        table
    }

    fn draw_lines(&self, frame: &mut Frame<'_>, area: Rect, lines: impl Iterator<Item = Vec<Cell>>) {
        let lines: Vec<Line<'static>> = lines.take(area.height.into()).map(|line| self.line(&line)).collect();
        frame.render_widget(ratatui::text::Text::from(lines), area);
    }

    fn line(&self, cells: &[Cell]) -> Line<'static> {
        let part = |cell: &Cell| Span::styled(in_one_line(cell.text()), self.style(cell.style()));
        cells.iter().map(part).collect()
    }

    /// The style of a table, as this library has it.
    fn style(&self, style: anstyle::Style) -> Style {
        let colour = match style.get_fg_color() {
            Some(AnsiColor::Ansi(colour)) if self.is_coloured => Some(Ansi256Color::from_ansi(colour).index()),
            _ => None,
        };
        let mut own = Style::new();
        own.fg = colour.map(Color::Indexed);
        for (effect, modifier) in [(Effects::BOLD, Modifier::BOLD), (Effects::DIMMED, Modifier::DIM)] {
            if style.get_effects().contains(effect) {
                own = own.add_modifier(modifier);
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use issuecommand::domain::{Claim, Timestamp, from_unix_ms};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::super::super::health::Health;
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn at(seconds_ago: u64) -> Timestamp {
        from_unix_ms(NOW - seconds_ago * 1_000)
    }

    fn claim(number: u64, title: &str) -> Claim {
        let entry = json!({ "status": "in_progress", "timestamp": at(120), "note": "\u{1b}[2Jbegun" });
        serde_json::from_value(json!({
            "claim_id": "01a1fcbe-4c87-73ec-a443-ac97a93b60d6", "agent_id": format!("agent-{number}"),
            "repo": "acme/small", "issue_number": number, "issue_title": title, "issue_labels": [],
            "issue_assignees": [], "status": "in_progress", "claimed_at": at(7_200), "last_updated": at(60),
            "status_history": [entry], "lease": { "epoch": 1, "expires_at": from_unix_ms(NOW + 600_000) },
        }))
        .unwrap()
    }

    fn view(count: u64) -> View {
        let health = json!({ "health": {
            "state": "degraded", "roles": [], "uptime_seconds": 7_200, "total_claims": 9, "active_claims": count,
            "active_agents": count, "stale_claims": 0, "open_issues": 40, "degraded": ["github: it\u{9b} is away"],
            "policies": { "ranker": "a", "stale_rule": "b", "repo_filter": "c" },
        } });
        let claims: Vec<Claim> = (1..=count).map(|number| claim(number, "Ti\u{1b}]0;x\u{7}tle")).collect();
        let picture =
            Picture { at: from_unix_ms(NOW), health: Health::of(&health).unwrap(), steps: Vec::new(), claims };
        View { is_coloured: false, ..View::of(picture) }
    }

    /// The lines of a screen of this size.
    fn screen(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(row).collect()
    }

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn the_screen_tells_who_works_on_what_and_what_is_wrong() {
        let screen = screen(&mut view(2), 70, 14);
        assert_eq!(screen[0], "  IssueCommand  degraded, up 2h, not synced yet");
        assert_eq!(screen[1], "  40 open issues, 2 held by 2 agents, 2 in_progress");
        assert_eq!(screen[2], "  github: it  is away");
        assert_eq!(screen[4], "  agent    issue         status       held  lease  title");
        assert_eq!(screen[5], "  agent-1  acme/small#1  in_progress    2h    10m  Ti ]0;x tle");
    }

    #[test]
    fn it_scrolls_to_the_last_claim_and_no_further_and_any_size_is_drawn() {
        let mut view = view(30);
        for _ in 0..9 {
            assert_eq!(view.hear(&key(KeyCode::PageDown, KeyModifiers::NONE)), Word::GoOn);
        }
        assert!(screen(&mut view, 80, 20).iter().any(|line| line.contains("agent-30")));
        view.hear(&key(KeyCode::Home, KeyModifiers::NONE));
        assert!(screen(&mut view, 80, 20).iter().any(|line| line.contains("agent-1 ")));
        for (width, height) in [(1, 1), (5, 3), (20, 4), (300, 100)] {
            screen(&mut view, width, height);
        }
    }

    #[test]
    fn it_ends_at_q_and_at_control_c_alone() {
        let mut view = view(0);
        assert_eq!(view.hear(&key(KeyCode::Char('c'), KeyModifiers::NONE)), Word::GoOn);
        assert_eq!(view.hear(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)), Word::Enough);
        assert_eq!(view.hear(&key(KeyCode::Char('q'), KeyModifiers::NONE)), Word::Enough);
        assert_eq!(view.hear(&key(KeyCode::Esc, KeyModifiers::NONE)), Word::Enough);
        view.take(Err(anyhow::anyhow!("nobody is there")));
        assert!(screen(&mut view, 80, 20)[3].contains("no news since "), "the last picture stays");
    }
}
