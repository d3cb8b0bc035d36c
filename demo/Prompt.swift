import Foundation
import Glibc
import PortcullisClient
import Synchronization

/// The person's turn: commands on the gate of the story, with alice and bob connected and what they receive shown as it comes.
final class Prompt: Sendable {
    private static let commands: Set = [
        "revoke", "block", "unblock", "permit", "notify", "disconnect", "connections", "session", "token",
    ]

    private let gate: LocalGate
    private let terminal: Terminal
    private let visitors = Mutex<[String: Visitor]>([:])
    /// Whether a command runs: then what arrives brings no prompt back.
    private let isBusy = Mutex(true)

    init(gate: LocalGate, terminal: Terminal) {
        self.gate = gate
        self.terminal = terminal
    }

    /// Reads commands until `quit`, the end of the input or the cancellation of the task.
    func run(with alice: Visitor) async throws {
        terminal.remark("Your turn. alice is connected, and bob has signed in again: his new token is none of")
        terminal.remark("the revoked ones. Commands are those of portcullis; what the two receive is shown.")
        help()
        let lines = Self.lines()
        await withDiscardingTaskGroup { group in
            listen(to: alice, in: &group)
            await join("bob", in: &group)
            idle()
            for await line in lines {
                isBusy.withLock { $0 = true }
                guard await answer(line, in: &group) else { break }
                idle()
            }
            group.cancelAll()
        }
        terminal.line()
        for visitor in visitors.withLock({ $0.values.map { $0 } }) { await visitor.connection.close() }
    }

    private func help() {
        terminal.line()
        for line in [
            "permit --user alice --resource doc:42 --role editor --wait 2s",
            "notify --all --data '\"Hello!\"'",
            "revoke --user bob --wait 2s",
            "connections",
            "say alice Hello, bob!         alice publishes to doc:42",
            "join bob                      bob connects with a fresh token; any name will do",
            "quit",
        ] { terminal.remark(terminal.styled(line, .bold)) }
        terminal.line()
        terminal.remark("From another terminal:  \(gate.program) connections --watch \(gate.stateOption)")
        terminal.line()
    }

    // MARK: - Commands

    /// Whether to go on.
    private func answer(_ line: String, in group: inout DiscardingTaskGroup) async -> Bool {
        guard let words = Self.words(line) else {
            terminal.remark("A quotation mark is missing.")
            return true
        }
        switch (words.first, words.count) {
        case (nil, _): break
        case ("quit", _), ("exit", _): return false
        case ("help", _), ("?", _): help()
        case ("join", 2): await join(words[1], in: &group)
        case ("say", 3...): await say(words[1], words[2...].joined(separator: " "))
        case ("portcullis", 2...): await command(Array(words.dropFirst()))
        case (let name?, _) where Self.commands.contains(name): await command(words)
        default: terminal.remark("Say help for what can be said here.")
        }
        return !Task.isCancelled
    }

    private func command(_ words: [String]) async {
        do {
            let child = try await gate.show(words)
            _ = await withTaskCancellationHandler {
                await child.end()
            } onCancel: {
                child.send(SIGTERM)
            }
        } catch {
            terminal.remark("\(error)")
        }
    }

    private func say(_ name: String, _ text: String) async {
        guard let visitor = visitors.withLock({ $0[name] }) else {
            terminal.remark("\(name) is not connected: join \(name)")
            return
        }
        try? await visitor.connection.send(.publish(resource: Tour.resource, data: RawJSON(string: text)))
    }

    private func join(_ name: String, in group: inout DiscardingTaskGroup) async {
        guard visitors.withLock({ $0[name] == nil }) else {
            terminal.remark("\(name) is connected already.")
            return
        }
        do {
            let token = try await gate.token(name, permissions: Tour.roles)
            let url = try gate.url.bound(to: Tour.resource)
            let (visitor, time) = try await Visitor.connect(name, token, to: url)
            received(name, "connected as \(visitor.welcome.role ?? "nobody") in \(Terminal.figure(time))")
            listen(to: visitor, in: &group)
        } catch {
            received(name, PlainText.clean("\(error)", limit: 300))
        }
    }

    private func listen(to visitor: Visitor, in group: inout DiscardingTaskGroup) {
        visitors.withLock { $0[visitor.name] = visitor }
        group.addTask {
            for await message in visitor.connection.messages {
                if let text = Self.words(for: message.message) {
                    self.received(visitor.name, text)
                    self.showPrompt()
                }
            }
            guard let closed = await visitor.connection.end() else { return }
            self.visitors.withLock { $0[visitor.name] = nil }
            let code = closed.code.map { "\($0) " } ?? ""
            self.received(visitor.name, "closed: \(code)\(PlainText.clean(closed.reason, limit: 100))", .red)
            self.showPrompt()
        }
    }

    // MARK: - What is shown

    private func idle() {
        isBusy.withLock { $0 = false }
        showPrompt()
    }

    private func showPrompt() {
        guard !isBusy.withLock({ $0 }) else { return }
        terminal.write(terminal.styled("portcullis> ", .green))
    }

    private func received(_ name: String, _ text: String, _ style: Terminal.Style = .yellow) {
        // Over the prompt, which stands there already.
        terminal.line("\r\u{1B}[K     " + terminal.styled("\(PlainText.clean(name, limit: 40)) ← \(text)", style))
    }

    private static func words(for message: ServerMessage) -> String? {
        switch message {
        case .message(let relayed):
            "message of \(PlainText.clean(relayed.user ?? "?", limit: 40)): \(relayed.data.map(PlainText.line) ?? "")"
        case .notice(let data): "notice \(PlainText.line(of: data))"
        case .permission(let change): "permission \(change.resource): \(change.from ?? "none") → \(change.to ?? "none")"
        case .error(let error): "error \(error.code)"
        case .left(let membership): "left \(membership.resource)"
        case .closing: nil
        default: PlainText.clean("\(message)", limit: 200)
        }
    }

    // MARK: - What is typed

    private static func lines() -> AsyncStream<String> {
        AsyncStream { continuation in
            // Reading blocks; the thread ends with the process.
            Thread.detachNewThread {
                while let line = readLine() { continuation.yield(line) }
                continuation.finish()
            }
        }
    }

    /// The words of a line, as a shell has them: with quotation marks of both kinds; nil where one is not closed.
    private static func words(_ line: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in line {
            switch (character, quote) {
            case (_, let mark?) where character == mark: quote = nil
            case (_, _?): word?.append(character)
            case ("\"", nil), ("'", nil):
                quote = character
                word = word ?? ""
            case (_, nil) where character.isWhitespace:
                if let done = word { words.append(done) }
                word = nil
            default: word = (word ?? "") + String(character)
            }
        }
        if let word { words.append(word) }
        return quote == nil ? words : nil
    }
}
