/** The outcomes in era B of pg_net. */
import { testOutcomes } from './outcomes.ts'

testOutcomes('B')
