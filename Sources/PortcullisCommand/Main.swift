import ArgumentParser
import Glibc
import PortcullisControl

@main
enum Main {
    static func main() async {
        CommandLinePrivacy.hidePasswords()
        do {
            var command = try Portcullis.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            CommandOutput.failure(failure.sentence)
            exit(failure.code)
        } catch let error as RedisUnreachable {
            CommandOutput.failure(error.description)
            exit(3)
        } catch let error as StartupError {
            CommandOutput.failure(error.description)
            exit(2)
        } catch let error as SettingsError {
            CommandOutput.failure(error.description)
            exit(2)
        } catch {
            let code = Portcullis.exitCode(for: error)
            let text = Portcullis.fullMessage(for: error)
            if !text.isEmpty { CommandOutput.write(text + "\n", to: code == .success ? 1 : 2) }
            // The library's code for a wrong flag is 64; ours is 2.
            exit(code == .success ? 0 : code == .validationFailure ? 2 : code.rawValue)
        }
    }
}

/// The root of all subcommands.
struct Portcullis: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portcullis",
        abstract:
            "A WebSocket gate that knows whose every connection is, and cuts off exactly the revoked ones, at once.",
        discussion: """
            Start a gate with `portcullis serve`, make a token with `portcullis token issue --user alice`, connect with \
            `portcullis connect`, and revoke with `portcullis revoke --user alice`.

            Exit codes: 0 done; 1 a token refused, a session that is not there; 2 usage; 3 Redis unreachable; 4 appended, but a live \
            gate did not answer in time.
            """,
        version: GateServer.version,
        subcommands: [
            Serve.self, Revoke.self, Block.self, Unblock.self, Permit.self, Reauthenticate.self, Notify.self,
            Disconnect.self, Lift.self, Connections.self, NodesCommand.self, LogCommand.self, TokenCommand.self,
            SessionCommand.self, TicketCommand.self, KeysCommand.self,
            Connect.self,
        ]
    )
}

/// A command that did not do what it was asked for: one sentence and an exit code (operate.md).
struct CommandFailure: Error {
    let code: Int32
    let sentence: String

    static func usage(_ sentence: String) -> CommandFailure {
        CommandFailure(code: 2, sentence: sentence)
    }
}

/// Passwords on the command line stand in the list of processes for everybody to read.
enum CommandLinePrivacy {
    /// Overwrites the password of every Redis URL among the arguments, after they have been copied.
    static func hidePasswords() {
        // The first use copies the arguments; what is overwritten below is what the kernel shows.
        let arguments = CommandLine.arguments
        // Safe: `argc` strings stand at `unsafeArgv`, each ends with a zero, and only bytes before it are overwritten.
        for index in arguments.indices.dropFirst() where index < Int(CommandLine.argc) {
            let text = arguments[index]
            guard text.contains("redis"), let scheme = text.firstRange(of: "://"), let at = text.lastIndex(of: "@"),
                let colon = text[scheme.upperBound..<at].firstIndex(of: ":"),
                let bytes = CommandLine.unsafeArgv[index]
            else { continue }
            let start = text.utf8.distance(from: text.utf8.startIndex, to: colon) + 1
            let end = text.utf8.distance(from: text.utf8.startIndex, to: at)
            guard end > start, end <= strlen(bytes) else { continue }
            for offset in start..<end { bytes[offset] = CChar(UInt8(ascii: "*")) }
            CommandOutput.warn(
                "the password in the Redis URL was visible to other users for a moment: use PORTCULLIS_REDIS_URL or redis.password_file."
            )
        }
    }
}
