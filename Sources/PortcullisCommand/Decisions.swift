import ArgumentParser
import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisWire

struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Close the matching connections and refuse their credentials from now on.",
        discussion: """
            A user who is revoked may sign in again: credentials issued later are accepted. To keep somebody out, use block. \
            With --token or --session the named credential never comes back.
            """
    )

    @OptionGroup var select: SelectorOptions
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "A sentence for the person.") var message: String?
    @Option(help: ArgumentHelp("A session that is spared.", valueName: "session")) var exceptSession: String?
    @Option(
        help: ArgumentHelp(
            "Credentials issued before then: now (the default), an RFC 3339 time, or never for all, also later ones.",
            valueName: "time"
        )
    )
    var before: String?

    func run() throws {
        let select = try select.required(namesConnections: false)
        let except = try exceptSession.map {
            Selector(ids: [.session: try SelectorOptions.identifier($0, "--except-session")])
        }
        let issuedBefore: Decision.IssuedBefore
        switch before {
        case nil: issuedBefore = select.namesOneCredential ? .never : .append
        // Redis' own moment of the append: no clock of this machine comes into it.
        case "now":
            issuedBefore =
                select.namesOneCredential
                ? .time(WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))) : .append
        case "never": issuedBefore = .never
        case let text?:
            guard let time = WallTime(rfc3339: text) else {
                throw CommandFailure.usage("--before takes now, never, or a time such as 2026-01-31T12:00:00Z.")
            }
            issuedBefore = .time(time)
        }
        try DecisionRun(common: common, options: options, message: message).run(
            "revoked \(select.words)",
            select: select,
            except: except,
            .revoke(.init(select: select, except: except, issuedBefore: issuedBefore))
        )
    }
}

struct Block: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Close the matching connections and keep them out until unblocked.",
        discussion: "A block names a user, tenant, address or device."
    )

    @OptionGroup var select: SelectorOptions
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "A sentence for the person.") var message: String?
    @Option(help: ArgumentHelp("A session that is spared.", valueName: "session")) var exceptSession: String?
    @Option(help: ArgumentHelp("Until when, as 2026-01-31T12:00:00Z; without it, until unblocked.", valueName: "time"))
    var until: Moment?

    func run() throws {
        let select = try select.blockable()
        let except = try exceptSession.map {
            Selector(ids: [.session: try SelectorOptions.identifier($0, "--except-session")])
        }
        try DecisionRun(common: common, options: options, message: message).run(
            "blocked \(select.words)",
            select: select,
            except: except,
            .block(select, except: except, until: until?.time)
        )
    }
}

struct Unblock: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lift the blocks of exactly this selector.")

    @OptionGroup var select: SelectorOptions
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let select = try select.blockable()
        try DecisionRun(common: common, options: options)
            .run("unblocked \(select.words)", select: select, .unblock(select))
    }
}

extension SelectorOptions {
    fileprivate func blockable() throws -> Selector {
        let select = try required(namesConnections: false)
        guard select.ids.keys.allSatisfy({ [.user, .tenant, .device].contains($0) }) else {
            throw CommandFailure.usage(
                "A block names --user, --tenant, --device or --ip: to end a credential, use revoke."
            )
        }
        return select
    }
}

struct Permit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set a user's role on a resource, or take it away, on live connections too."
    )

    @Option(help: "The user.") var user: String
    @Option(help: "The resource.") var resource: String
    @Option(help: "viewer, commenter, editor, owner, or another of the configured roles.") var role: String?
    @Flag(help: "Take the role away.") var none = false
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        guard (role != nil) != none else {
            throw CommandFailure.usage("Give either --role with a role, or --none to take it away.")
        }
        let roles = try GateAssembly.roles(try common.settings())
        var wanted: Role?
        if let role {
            guard let known = roles.role(named: Identifier(role)) else {
                let names = roles.names.map(\.description).joined(separator: ", ")
                throw CommandFailure.usage("--role takes one of \(names).")
            }
            wanted = known
        }
        let userID = try SelectorOptions.identifier(user, "--user")
        let permit = Decision.Permit(
            user: userID,
            resource: try SelectorOptions.identifier(resource, "--resource"),
            role: wanted,
            version: nil
        )
        let what = "permitted user \(permit.user) on \(permit.resource): \(role ?? "nothing")"
        try DecisionRun(common: common, options: options)
            .run(what, select: Selector(ids: [.user: userID]), .permit(permit))
    }
}

struct Notify: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Push JSON to the matching connections.")

    @OptionGroup var select: SelectorOptions
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions
    @Option(help: ArgumentHelp("What to push, as JSON.", valueName: "json")) var data: String

    func run() throws {
        let select = try select.required(namesConnections: true)
        var json = StrictJSON(maximumDepth: 28)
        let bytes = Array(data.utf8)
        guard (try? json.parse(bytes.span)) != nil else {
            throw CommandFailure.usage(
                #"--data takes JSON: write --data '{"text":"hello"}', or --data '"hello"' for a text."#
            )
        }
        try DecisionRun(common: common, options: options)
            .run("notified \(select.words)", select: select, .notify(select, except: nil, data: bytes))
    }
}

struct Disconnect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Close the matching connections; they may return."
    )

    @OptionGroup var select: SelectorOptions
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "The close code: 1000, or one from 3000 to 4999.") var code: UInt16 = 1000
    @Option(help: ArgumentHelp("A session that is spared.", valueName: "session")) var exceptSession: String?

    func run() throws {
        let select = try select.required(namesConnections: true)
        guard
            code == 1000 || (1007...1014).contains(code) || (1001...1003).contains(code) || (3000...4999).contains(code)
        else { throw CommandFailure.usage("--code takes 1000, or a code from 3000 to 4999.") }
        let except = try exceptSession.map {
            Selector(ids: [.session: try SelectorOptions.identifier($0, "--except-session")])
        }
        try DecisionRun(common: common, options: options).run(
            "disconnected \(select.words)",
            select: select,
            except: except,
            .disconnect(select, except: except, code: code, reason: options.reason)
        )
    }
}
