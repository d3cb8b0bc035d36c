public import PortcullisCore

/// A row of a page of the log.
public struct PageRow: Equatable, Sendable {
    public let position: LogPosition
    /// nil where it cannot be read.
    public let logged: LoggedEvent?

    public init(position: LogPosition, logged: LoggedEvent?) {
        self.position = position
        self.logged = logged
    }
}

extension VouchMachine {
    /// A page that is read in full, as by a gate that holds nothing of it but what stands at its position.
    public mutating func pageRead(_ rows: [PageRow], epoch: [UInt8]?, now: BootTime, random: UInt64) -> [Action] {
        let logged = rows.filter { $0.position != position }.compactMap(\.logged)
        return pageRead(rows.map(\.position), logged, epoch: epoch, now: now, random: random)
    }
}
