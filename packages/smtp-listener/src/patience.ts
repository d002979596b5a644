/** How many errors of a client are borne, as Postfix's soft and hard error limits. The hard one is lower under stress. */
export interface Patience {
  /** Errors, without a message coming through, from which each reply is held back. */
  readonly soft: number
  /** Errors after which the client is sent away. */
  readonly hard: number
  /** How long each reply is held back. */
  readonly sleepMs: number
  /** Whether what the intake refuses counts too. */
  readonly errors: 'all' | 'own'
}
