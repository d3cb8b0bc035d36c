/// Mistakes that somebody could make (guarantee.md, *A test of the tests*). Each is made in the wiring of the simulated world, around
/// the code of the gate, never in it: switched on, it must be found.
public struct Mistakes: OptionSet, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    public static let checkBeforeRegister = Mistakes(rawValue: 1 << 0)
    public static let publishBeforeAppend = Mistakes(rawValue: 1 << 1)
    public static let admitBeforeAcknowledgement = Mistakes(rawValue: 1 << 2)
    public static let noCatchUp = Mistakes(rawValue: 1 << 3)
    public static let catchUpBeforeAcknowledgement = Mistakes(rawValue: 1 << 4)
    public static let leaseFromReply = Mistakes(rawValue: 1 << 5)
    public static let lateReplyAccepted = Mistakes(rawValue: 1 << 6)
    public static let leaseCheckedByTimerOnly = Mistakes(rawValue: 1 << 7)
    public static let positionMovedByChannel = Mistakes(rawValue: 1 << 8)
    public static let copiesWithoutOrder = Mistakes(rawValue: 1 << 9)

    public static let adoptWithoutSeen = Mistakes(rawValue: 1 << 10)
    public static let heardReplacesRead = Mistakes(rawValue: 1 << 11)

    public static let all: [(name: String, mistake: Mistakes)] = [
        ("check before register", .checkBeforeRegister),
        ("publish before append", .publishBeforeAppend),
        ("admit before the first acknowledged subscription", .admitBeforeAcknowledgement),
        ("no catch-up after a reconnect", .noCatchUp),
        ("catch-up before the subscription is acknowledged", .catchUpBeforeAcknowledgement),
        ("lease counted from the reply", .leaseFromReply),
        ("a late reply accepted", .lateReplyAccepted),
        ("lease checked by the timer only", .leaseCheckedByTimerOnly),
        ("position moved by the channel", .positionMovedByChannel),
        ("copies without o", .copiesWithoutOrder),
        ("adopt without the seen check", .adoptWithoutSeen),
        ("heard replaces read", .heardReplacesRead),
    ]
}
