/** The outcomes in era A of pg_net. */
import { testOutcomes } from './outcomes.ts'

testOutcomes('A')
